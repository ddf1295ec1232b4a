package api

import "time"

// Worker is a process that runs trials.
type Worker struct {
	Name     string    `json:"name"`
	Pool     string    `json:"pool"`
	Slots    int       `json:"slots"` // trials that it runs at once
	Busy     int       `json:"busy"`  // trials that it runs now
	Host     string    `json:"host,omitempty"`
	Version  string    `json:"version,omitempty"`
	Since    time.Time `json:"since"`
	Draining bool      `json:"draining"` // it takes no more trials
}
