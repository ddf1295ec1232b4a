package linear

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Name is how a candidate asks for this trainer.
const Name = "builtin/linear"

// Params are the hyperparameters.
type Params struct {
	L2        float64 // l2: strength of the penalty, > 0; default 1
	MaxIter   int     // maxIter: most L-BFGS iterations; default 500
	Tolerance float64 // tolerance: the fit is done when no component of the mean gradient is larger; default 1e-6
	MinCount  int     // minCount: a category seen in fewer rows gets no column; default 1
}

// Defaults are the parameters that a candidate gets when it names none.
func Defaults() Params { return Params{L2: 1, MaxIter: 500, Tolerance: 1e-6, MinCount: 1} }

// ParseParams reads a candidate's params. The error of an unknown name lists the names there are.
func ParseParams(given map[string]any) (Params, error) {
	p := Defaults()
	setters := map[string]func(float64){
		"l2":        func(v float64) { p.L2 = v },
		"maxIter":   func(v float64) { p.MaxIter = int(v) },
		"tolerance": func(v float64) { p.Tolerance = v },
		"minCount":  func(v float64) { p.MinCount = int(v) },
	}
	for name, value := range given {
		set, ok := setters[name]
		if !ok {
			names := make([]string, 0, len(setters))
			for n := range setters {
				names = append(names, n)
			}
			slices.Sort(names)
			return p, fmt.Errorf("%s has no parameter %q; it has %s", Name, name, strings.Join(names, ", "))
		}
		v, ok := number(value)
		if !ok {
			return p, fmt.Errorf("%s: parameter %s must be a number, it is %v", Name, name, value)
		}
		if whole := name == "maxIter" || name == "minCount"; whole && (v != math.Trunc(v) || v < 1 || v > math.MaxInt32) {
			return p, fmt.Errorf("%s: parameter %s must be a whole number of at least 1, it is %v", Name, name, value)
		}
		set(v)
	}
	return p, p.Check()
}

// Check tells which parameter is out of its range.
func (p Params) Check() error {
	switch {
	case !(p.L2 > 0) || math.IsInf(p.L2, 0):
		return fmt.Errorf("%s: parameter l2 must be greater than 0, it is %v", Name, p.L2)
	case !(p.Tolerance > 0) || p.Tolerance >= 1:
		return fmt.Errorf("%s: parameter tolerance must be between 0 and 1, it is %v", Name, p.Tolerance)
	case p.MaxIter < 1:
		return fmt.Errorf("%s: parameter maxIter must be at least 1, it is %v", Name, p.MaxIter)
	case p.MinCount < 1:
		return fmt.Errorf("%s: parameter minCount must be at least 1, it is %v", Name, p.MinCount)
	}
	return nil
}

func number(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case float32:
		return float64(x), true
	case int:
		return float64(x), true
	case int64:
		return float64(x), true
	case uint64:
		return float64(x), true
	case json.Number:
		f, err := x.Float64()
		return f, err == nil
	}
	return 0, false
}
