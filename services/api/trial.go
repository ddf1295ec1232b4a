package api

// Trial is one training run. State: queued, running, succeeded, stopped (early, because others do better), failed.
type Trial struct {
	Trial      string             `json:"trial"`
	Candidate  string             `json:"candidate"`
	Number     int                `json:"number,omitempty"` // among the candidate's trials, from 1; 0 of a refit
	Refit      bool               `json:"refit,omitempty"`  // the winner's recipe, again, on all rows
	State      string             `json:"state"`
	Rank       int                `json:"rank,omitempty"`   // by the cycle's primary metric, 1 is the best; 0 without a figure
	Winner     bool               `json:"winner,omitempty"` // it became the cycle's version
	Attempt    int                `json:"attempt"`
	Worker     string             `json:"worker,omitempty"`
	Phase      string             `json:"phase,omitempty"`
	Fraction   float64            `json:"fraction"`
	Message    string             `json:"message,omitempty"`
	Params     map[string]any     `json:"params,omitempty"` // its hyperparameters, once it has ended
	Validation map[string]float64 `json:"validation,omitempty"`
	Reported   map[string]float64 `json:"reported,omitempty"`
	Reason     string             `json:"reason,omitempty"`
	LogTail    []string           `json:"logTail,omitempty"`
	Seconds    float64            `json:"seconds,omitempty"`
}
