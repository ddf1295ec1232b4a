package evaluation

import "math"

// clip keeps logarithms finite: a model that is certain and wrong loses 34.5
// nats in a row, not infinity. The bound is the one scikit-learn 1.2 uses.
const clip = 1e-15

// calibrationBins is the number of equal-width bins of the calibration error.
const calibrationBins = 10

func (p *prepared) ranking(class int) *ranking {
	if r := p.ranks[class]; r != nil {
		return r
	}
	score, want := p.s.Scores, float64(class)
	if p.s.Task == Multiclass {
		score = make([]float64, p.s.Len())
		for i := range score {
			score[i] = p.s.Scores[i*p.s.Classes+class]
		}
	}
	r := newRanking(score, func(row int) bool { return p.s.Label[row] == want })
	p.ranks[class] = r
	return r
}

func (p *prepared) binary(name string) measure {
	s := p.s
	switch name {
	case "auc":
		return p.ranking(1).auc
	case "averagePrecision":
		return p.ranking(1).averagePrecision
	case "logloss":
		return meanOf(binaryLoss(s))
	case "normalizedEntropy":
		return normalizedEntropy(binaryLoss(s), s.Label, 2)
	case "accuracy":
		return meanOf(rows(s, func(i int) float64 { return indicator((s.Scores[i] >= 0.5) == (s.Label[i] == 1)) }))
	case "brier":
		return meanOf(rows(s, func(i int) float64 { d := s.Scores[i] - s.Label[i]; return d * d }))
	case "ece":
		return calibrationError(s)
	case "baseRate":
		return meanOf(s.Label)
	case "f1", "precision", "recall":
		said := rows(s, func(i int) float64 { return indicator(s.Scores[i] >= 0.5) })
		hit := rows(s, func(i int) float64 { return said[i] * s.Label[i] })
		return func(w []float64) float64 {
			return ratioOf(name, dot(w, hit), dot(w, said), dot(w, s.Label))
		}
	}
	return undefined
}

// ratioOf is f1, precision or recall from the weights of hits, of rows said to
// be positive and of rows that are; 0 where nothing was said or nothing is, as
// scikit-learn has it.
func ratioOf(name string, hit, said, is float64) float64 {
	var over float64
	switch name {
	case "precision":
		over = said
	case "recall":
		over = is
	default:
		hit, over = 2*hit, said+is
	}
	if over <= 0 {
		return 0
	}
	return hit / over
}

func binaryLoss(s *Scored) []float64 {
	return rows(s, func(i int) float64 {
		p := s.Scores[i]
		if s.Label[i] == 0 {
			p = 1 - p
		}
		return -math.Log(min(max(p, clip), 1-clip))
	})
}

// normalizedEntropy is logloss over the entropy of the label's own
// distribution (He et al. 2014): 1 is a model that knows only the base rate.
func normalizedEntropy(loss, label []float64, classes int) measure {
	return func(w []float64) float64 {
		mass := make([]float64, classes)
		for i, y := range label {
			mass[int(y)] += w[i]
		}
		total, entropy := sum(mass), 0.0
		for _, m := range mass {
			if m > 0 {
				entropy -= m / total * math.Log(m/total)
			}
		}
		if entropy <= 0 {
			return math.NaN()
		}
		return dot(w, loss) / total / entropy
	}
}

// calibrationError is the mean distance between the mean score and the rate of
// positives over bins of equal width, weighted by the rows in each.
func calibrationError(s *Scored) measure {
	bin := make([]int, s.Len())
	for i, p := range s.Scores {
		bin[i] = min(max(int(p*calibrationBins), 0), calibrationBins-1)
	}
	gap := rows(s, func(i int) float64 { return s.Scores[i] - s.Label[i] })
	return func(w []float64) float64 {
		var off [calibrationBins]float64
		for i, b := range bin {
			off[b] += w[i] * gap[i]
		}
		total := 0.0
		for _, o := range off {
			total += math.Abs(o)
		}
		return total / sum(w)
	}
}

func (p *prepared) multiclass(name string) measure {
	s, c := p.s, p.s.Classes
	switch name {
	case "logloss":
		return meanOf(multiclassLoss(s))
	case "normalizedEntropy":
		return normalizedEntropy(multiclassLoss(s), s.Label, c)
	case "brier":
		return meanOf(rows(s, func(i int) float64 {
			total := 0.0
			for k, q := range s.Scores[i*c : (i+1)*c] {
				d := q - indicator(float64(k) == s.Label[i])
				total += d * d
			}
			return total
		}))
	case "accuracy":
		best := argmax(s)
		return meanOf(rows(s, func(i int) float64 { return indicator(float64(best[i]) == s.Label[i]) }))
	case "f1", "precision", "recall":
		return macroRatio(name, s)
	case "auc":
		return func(w []float64) float64 {
			total := 0.0
			for k := range c {
				total += p.ranking(k).auc(w) // NaN if a class is absent: then the mean is undefined
			}
			return total / float64(c)
		}
	}
	return undefined
}

func multiclassLoss(s *Scored) []float64 {
	return rows(s, func(i int) float64 {
		q := s.Scores[i*s.Classes+int(s.Label[i])]
		return -math.Log(min(max(q, clip), 1-clip))
	})
}

// macroRatio is the unweighted mean over the classes that occur, in the labels
// or in the answers, as scikit-learn has it.
func macroRatio(name string, s *Scored) measure {
	best := argmax(s)
	return func(w []float64) float64 {
		hit, said, is := make([]float64, s.Classes), make([]float64, s.Classes), make([]float64, s.Classes)
		for i, y := range s.Label {
			k := int(y)
			is[k] += w[i]
			said[best[i]] += w[i]
			if best[i] == k {
				hit[k] += w[i]
			}
		}
		total, seen := 0.0, 0.0
		for k := range s.Classes {
			if said[k]+is[k] > 0 {
				seen++
				total += ratioOf(name, hit[k], said[k], is[k])
			}
		}
		return total / seen
	}
}

// argmax is the most probable class of each row, the first among equals.
func argmax(s *Scored) []int {
	out := make([]int, s.Len())
	for i := range out {
		row := s.Scores[i*s.Classes : (i+1)*s.Classes]
		for k, q := range row {
			if q > row[out[i]] {
				out[i] = k
			}
		}
	}
	return out
}

// rows fills a column, shape [N], row by row.
func rows(s *Scored, value func(i int) float64) []float64 {
	out := make([]float64, s.Len())
	for i := range out {
		out[i] = value(i)
	}
	return out
}

func indicator(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
