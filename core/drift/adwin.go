package drift

import "math"

// Adwin keeps a window of a stream that is as long as its mean is stable, and
// drops the older part when two parts differ (Bifet and Gavaldà 2007). Memory
// grows with the logarithm of the window. See [NewAdwin] for the settings; an
// Adwin is not safe for concurrent use.
type Adwin struct {
	Delta       float64 // confidence: the rate of false cuts
	Clock       int     // values between two checks
	MaxBuckets  int     // buckets of one size
	MinWindow   int     // values that each part must have
	GracePeriod int     // no check on windows up to this long

	// EverySplit tests all splits at bucket borders, as the paper has it, which
	// finds a change sooner. River, whose figures we reproduce by default, counts
	// the newest bucket of each size with the newer part, and so reacts later.
	EverySplit bool

	rows  [][]adwinBucket // rows[k]: buckets of 2^k values, oldest first
	ticks int
	all   adwinBucket
	width float64
}

// adwinBucket is the sum of some values and their summed squared distances from
// their own mean.
type adwinBucket struct{ total, variance float64 }

// NewAdwin has the usual settings: delta 0.002, a check every 32 values.
func NewAdwin() *Adwin {
	return &Adwin{Delta: 0.002, Clock: 32, MaxBuckets: 5, MinWindow: 5, GracePeriod: 10}
}

// Width is the number of values in the window.
func (d *Adwin) Width() int { return int(d.width) }

// Mean is the mean of the window, 0 when it is empty.
func (d *Adwin) Mean() float64 {
	if d.width == 0 {
		return 0
	}
	return d.all.total / d.width
}

// Add takes the next value and tells whether the window was cut.
func (d *Adwin) Add(x float64) bool {
	d.insert(x)
	d.ticks++
	if d.ticks%d.Clock != 0 || d.Width() <= d.GracePeriod {
		return false
	}
	cut := false
	for d.differ() {
		d.dropOldest()
		cut = true
	}
	return cut
}

// insert appends a bucket of one value and merges the two oldest of any size
// that has too many.
func (d *Adwin) insert(x float64) {
	d.all, d.width = join(d.all, d.width, adwinBucket{total: x}, 1), d.width+1
	if len(d.rows) == 0 {
		d.rows = append(d.rows, nil)
	}
	d.rows[0] = append(d.rows[0], adwinBucket{total: x})
	for k := 0; k < len(d.rows) && len(d.rows[k]) > d.MaxBuckets; k++ {
		if k+1 == len(d.rows) {
			d.rows = append(d.rows, nil)
		}
		size := math.Ldexp(1, k)
		merged := join(d.rows[k][0], size, d.rows[k][1], size)
		d.rows[k+1] = append(d.rows[k+1], merged)
		d.rows[k] = append(d.rows[k][:0], d.rows[k][2:]...)
	}
}

// join merges buckets of na and nb values.
func join(a adwinBucket, na float64, b adwinBucket, nb float64) adwinBucket {
	out := adwinBucket{a.total + b.total, a.variance + b.variance}
	if na > 0 && nb > 0 {
		gap := a.total/na - b.total/nb
		out.variance += na * nb * gap * gap / (na + nb)
	}
	return out
}

// differ tells whether some split of the window into older and newer has means
// further apart than chance allows.
func (d *Adwin) differ() bool {
	var older, total float64
	for k := len(d.rows) - 1; k >= 0; k-- {
		size := math.Ldexp(1, k)
		row := d.rows[k]
		if !d.EverySplit && len(row) > 0 {
			row = row[:len(row)-1]
		}
		for _, b := range row {
			older, total = older+size, total+b.total
			newer := d.width - older
			if newer <= 0 {
				return false
			}
			if older < float64(d.MinWindow) || newer < float64(d.MinWindow) {
				continue
			}
			if math.Abs(total/older-(d.all.total-total)/newer) > d.allowed(older, newer) {
				return true
			}
		}
	}
	return false
}

// allowed is the cut threshold, with the window's variance (equation 3.1 of the
// paper, sizes corrected for the shortest part).
func (d *Adwin) allowed(older, newer float64) float64 {
	confidence := math.Log(2 * math.Log(d.width) / d.Delta)
	shortest := float64(d.MinWindow) - 1
	inverse := 1/(older-shortest) + 1/(newer-shortest)
	return math.Sqrt(2*inverse*d.all.variance/d.width*confidence) + 2.0/3*confidence*inverse
}

func (d *Adwin) dropOldest() {
	k := len(d.rows) - 1
	size, b := math.Ldexp(1, k), d.rows[k][0]
	d.width -= size
	d.all.total -= b.total
	if d.width > 0 {
		gap := b.total/size - d.all.total/d.width
		d.all.variance = max(0, d.all.variance-b.variance-size*d.width*gap*gap/(size+d.width))
	}
	d.rows[k] = d.rows[k][1:]
	for len(d.rows) > 1 && len(d.rows[len(d.rows)-1]) == 0 {
		d.rows = d.rows[:len(d.rows)-1]
	}
}
