package model

// Shares tells whether rows of several callers go through the graph together.
func (s *Scorer) Shares() bool { return s.shared != nil }
