package resource

// Methods of a search.
const (
	SearchGrid    = "grid"
	SearchRandom  = "random"
	SearchTPE     = "tpe"
	SearchHalving = "halving"
)

// MaxTrials bounds the trials of one search.
const MaxTrials = 10_000

// Goals of early stopping.
const (
	GoalMaximize = "maximize"
	GoalMinimize = "minimize"
)

// Search says how a candidate's hyperparameters are tried. Core/search carries it out.
type Search struct {
	Method string `json:"method"` // grid, random, tpe or halving
	// Trials is the budget; halving counts those of all rungs. 0 is all of a grid, and no bound besides Time (and MaxTrials)
	// for random and tpe.
	Trials int       `json:"trials,omitempty"`
	Time   *Duration `json:"time,omitempty"` // wall time since the first trial began; no generation begins after it
	// Parallel is how many trials a generation has; 0 is all at once. Default 4 where one generation learns from those before
	// it or the time may run out. A generation of halving is a rung.
	Parallel  int              `json:"parallel,omitempty"`
	Space     map[string]Range `json:"space"` // by name of the hyperparameter; beats the candidate's params
	EarlyStop *EarlyStop       `json:"earlyStop,omitempty"`
	Halving   *Halving         `json:"halving,omitempty"`
}

// Range is what one hyperparameter may be: exactly one of Int, LogInt, Float, Log and Choice is set. Bounds are inclusive.
type Range struct {
	Int    *[2]int64   `json:"int,omitempty"`
	LogInt *[2]int64   `json:"logInt,omitempty"` // uniform in the logarithm
	Float  *[2]float64 `json:"float,omitempty"`
	Log    *[2]float64 `json:"log,omitempty"`    // uniform in the logarithm
	Choice []any       `json:"choice,omitempty"` // string, float64 or bool
	Step   float64     `json:"step,omitempty"`   // between the values of Int (default 1) or Float, counted from the lower bound
	Steps  int         `json:"steps,omitempty"`  // grid: so many values from bound to bound, evenly spaced (in the logarithm: Log, LogInt)
}

// Size is how many different values there are; 0 stands for a continuum. With Steps it is at most that many.
func (r Range) Size() int64 {
	switch {
	case len(r.Choice) > 0:
		return int64(len(r.Choice))
	case r.Steps > 0 && r.Int != nil:
		return min(int64(r.Steps), r.Int[1]-r.Int[0]+1)
	case r.Steps > 0 && r.LogInt != nil:
		return min(int64(r.Steps), r.LogInt[1]-r.LogInt[0]+1)
	case r.Steps > 0:
		return int64(r.Steps)
	case r.Int != nil:
		return (r.Int[1]-r.Int[0])/max(int64(r.Step), 1) + 1
	case r.LogInt != nil:
		return r.LogInt[1] - r.LogInt[0] + 1
	case r.Float != nil && r.Step > 0:
		// 0.5, 0.6, … 1.0 are six though (1.0-0.5)/0.1 may be a hair under 5.
		return int64((r.Float[1]-r.Float[0])/r.Step+1e-9) + 1
	}
	return 0
}

// EarlyStop ends trials that do worse than the median of earlier ones.
type EarlyStop struct {
	Metric string `json:"metric"` // as the trainer reports it
	Goal   string `json:"goal"`   // maximize or minimize
	After  int    `json:"after"`  // reports before the rule applies; default 3
}

// Halving raises one hyperparameter from Min to Max by Factor from rung to rung, and keeps one of Factor configurations.
type Halving struct {
	Param  string  `json:"param"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Factor int     `json:"factor"` // default 3
}
