package drift

// PageHinkley detects a change of a stream's mean, either way, by cumulative
// deviations from the running mean (Page 1954, with the fading of Gama et al.).
// The zero value is not usable; see [NewPageHinkley].
type PageHinkley struct {
	MinInstances int     // values before it may fire
	Delta        float64 // deviation that is tolerated
	Threshold    float64 // cumulative deviation that fires
	Alpha        float64 // fading of older deviations, 1 for none

	n          int
	mean       float64
	rise, fall float64 // cumulative deviations, never past zero the other way
}

// NewPageHinkley has the usual settings: 30 values, delta 0.005, threshold 50,
// alpha 0.9999.
func NewPageHinkley() *PageHinkley {
	return &PageHinkley{MinInstances: 30, Delta: 0.005, Threshold: 50, Alpha: 0.9999}
}

// Add takes the next value and tells whether the mean has changed. After a
// change it starts afresh.
func (d *PageHinkley) Add(x float64) bool {
	d.n++
	d.mean += (x - d.mean) / float64(d.n)
	d.rise = max(0, d.Alpha*d.rise+x-d.mean-d.Delta)
	d.fall = max(0, d.Alpha*d.fall-x+d.mean-d.Delta)
	if d.n < d.MinInstances || max(d.rise, d.fall) <= d.Threshold {
		return false
	}
	*d = PageHinkley{MinInstances: d.MinInstances, Delta: d.Delta, Threshold: d.Threshold, Alpha: d.Alpha}
	return true
}
