package linear

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/tidemill/tidemill/core/resource"
)

// StateFile is the name of a model's state beside its ONNX file.
const StateFile = "linear.json"

// state is a model by names, to start another from.
type state struct {
	Trainer string        `json:"trainer"`
	Task    string        `json:"task"`
	Numeric []scaleState  `json:"numeric"`
	Outputs []outputState `json:"outputs"`
}

// scaleState is how a numeric feature is standardised.
type scaleState struct {
	Feature   string  `json:"feature"`
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"deviation"`
}

// outputState is one linear score: intercept + Σ weights of standardised numbers + Σ weights of categories.
type outputState struct {
	Class      string                        `json:"class,omitempty"` // of a multiclass model
	Intercept  float64                       `json:"intercept"`
	Numeric    []float64                     `json:"numeric"` // in the order of state.Numeric
	Categories map[string]map[string]float64 `json:"categories"`
}

// State writes the model's weights by the names of features and categories, as JSON.
func (m *Model) State() ([]byte, error) {
	s := state{Trainer: Name, Task: m.contract.Task}
	for _, x := range m.encoder.numeric {
		s.Numeric = append(s.Numeric, scaleState{Feature: m.contract.Features[x.column].Name, Mean: x.mean, Deviation: x.deviation})
	}
	for k := range m.outputs() {
		w := m.weightsOf(k)
		out := outputState{Intercept: w[0], Numeric: w[1 : 1+len(m.encoder.numeric)], Categories: map[string]map[string]float64{}}
		if m.contract.Task == resource.TaskMulticlass {
			out.Class = m.contract.Classes[k]
		}
		for _, v := range m.encoder.text {
			weights := make(map[string]float64, len(v.categories))
			for j, category := range v.categories {
				weights[category] = w[v.offset+j]
			}
			out.Categories[m.contract.Features[v.column].Name] = weights
		}
		s.Outputs = append(s.Outputs, out)
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write the model's state: %w", err)
	}
	return b, nil
}

// resume replaces the weights to start from by those of another model's state, in this model's standardisation and, of a
// regression, in its label's shift and unit. What the other model doesn't know stays as it is: weights 0, and intercepts those of
// the base rates. The state of a model for another task is no start; that is no error, since a model's task may change.
func (m *Model) resume(b []byte, start []float64, shift, unit float64) (used bool, err error) {
	s, err := readState(b)
	if err != nil {
		return false, err
	}
	if s.Task != m.contract.Task {
		return false, nil
	}
	for k := range len(start) / m.encoder.width {
		own := start[k*m.encoder.width : (k+1)*m.encoder.width]
		for _, other := range s.Outputs {
			if s.Task != resource.TaskMulticlass || other.Class == m.contract.Classes[k] {
				m.take(own, s.Numeric, other)
				used = true
			}
		}
	}
	if s.Task == resource.TaskRegression {
		start[0] -= shift
		for i := range start {
			start[i] /= unit
		}
	}
	return used, nil
}

// take fills one output's weights. A number's weight w of (x - mean) / deviation is one of w·d'/d of (x - m') / d', and shifts the
// intercept by w·(m' - m) / d.
func (m *Model) take(own []float64, scales []scaleState, other outputState) {
	own[0] = other.Intercept
	for j, x := range m.encoder.numeric {
		for i, was := range scales {
			if was.Feature == m.contract.Features[x.column].Name {
				own[0] += other.Numeric[i] * (x.mean - was.Mean) / was.Deviation
				own[1+j] = other.Numeric[i] * x.deviation / was.Deviation
			}
		}
	}
	for _, v := range m.encoder.text {
		weights := other.Categories[m.contract.Features[v.column].Name]
		for j, category := range v.categories {
			own[v.offset+j] = weights[category] // 0 when it is unknown
		}
	}
}

// CheckState tells why bytes are no state that a fit can start from.
func CheckState(b []byte) error {
	_, err := readState(b)
	return err
}

func readState(b []byte) (state, error) {
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read its state: %w", err)
	}
	return s, s.check()
}

// check refuses what would start a fit from nowhere.
func (s *state) check() error {
	if s.Trainer != Name {
		return fmt.Errorf("it is of the trainer %q, not of %s", s.Trainer, Name)
	}
	for _, x := range s.Numeric {
		if !(x.Deviation > 0) || !bounded(x.Mean) || !bounded(x.Deviation) {
			return fmt.Errorf("its feature %s has the mean %v and the deviation %v", x.Feature, x.Mean, x.Deviation)
		}
	}
	for _, out := range s.Outputs {
		if len(out.Numeric) != len(s.Numeric) {
			return errors.New("it has not one weight per numeric feature")
		}
		weights := append([]float64{out.Intercept}, out.Numeric...)
		for _, categories := range out.Categories {
			for _, w := range categories {
				weights = append(weights, w)
			}
		}
		for _, w := range weights {
			if !bounded(w) {
				return fmt.Errorf("it has the weight %v", w)
			}
		}
	}
	return nil
}

// bounded tells numbers that a fit may start from: sums of products of them stay far from infinity.
func bounded(v float64) bool { return math.Abs(v) <= math.MaxFloat32 }
