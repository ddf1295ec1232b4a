package model

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
	ort "github.com/yalue/onnxruntime_go"
)

// Names of tensors that the contract fixes.
const (
	tensorFeatures      = "features"
	tensorProbabilities = "probabilities"
	tensorPrediction    = "prediction"
)

// BrokenContract says that a model can't be used and how to export it so that it can. It is the trainer's to mend.
type BrokenContract struct{ Problem string }

// Error is the problem, in words for the person who wrote the trainer.
func (e *BrokenContract) Error() string { return "the model breaks the contract: " + e.Problem }

func broken(format string, args ...any) error {
	return &BrokenContract{Problem: fmt.Sprintf(format, args...)}
}

// wiring is how a model's tensors map to the contract.
type wiring struct {
	input      string // columns or matrix
	output     string // name of the tensor that is read
	outputRank int
}

// wire checks the model's declared inputs and outputs against the contract.
func wire(inputs, outputs []ort.InputOutputInfo, c Contract) (wiring, error) {
	mode, err := wireInputs(inputs, c)
	if err != nil {
		return wiring{}, err
	}
	if c.Input != "" && c.Input != mode {
		return wiring{}, broken("the manifest says that it takes %s, but its inputs are %s", c.Input, describe(inputs))
	}
	w, err := wireOutput(outputs, c)
	w.input = mode
	return w, err
}

func wireInputs(inputs []ort.InputOutputInfo, c Contract) (string, error) {
	byName := map[string]ort.InputOutputInfo{}
	for _, in := range inputs {
		byName[in.Name] = in
	}
	isFeature := func(name string) bool {
		return slices.ContainsFunc(c.Features, func(f Feature) bool { return f.Name == name })
	}
	if m, ok := byName[tensorFeatures]; ok && len(inputs) == 1 && !isFeature(tensorFeatures) {
		return InputMatrix, checkMatrix(m, c)
	}
	for _, f := range c.Features {
		in, ok := byName[f.Name]
		if !ok {
			return "", broken("it has no input %q; it needs one [N,1] input per feature, by name (%s), but its inputs are %s",
				f.Name, featureNames(c), describe(inputs))
		}
		if err := checkColumn(in, f); err != nil {
			return "", err
		}
		delete(byName, f.Name)
	}
	for _, in := range inputs {
		if _, left := byName[in.Name]; left {
			return "", broken("it wants an input %q that is no feature; the features are %s", in.Name, featureNames(c))
		}
	}
	return InputColumns, nil
}

func checkMatrix(in ort.InputOutputInfo, c Contract) error {
	for _, f := range c.Features {
		if f.Kind != KindNumeric {
			return broken("it takes one matrix named %q, but feature %s is a string; take one input per feature instead", tensorFeatures, f.Name)
		}
	}
	if in.OrtValueType != ort.ONNXTypeTensor || in.DataType != ort.TensorElementDataTypeFloat {
		return broken("input %q must be a float32 tensor, it is %s", in.Name, kindOf(in))
	}
	d := in.Dimensions
	if len(d) != 2 || d[0] > 0 || (d[1] > 0 && d[1] != int64(len(c.Features))) {
		return broken("input %q must have the shape [N,%d] with N free, it has %s", in.Name, len(c.Features), d)
	}
	return nil
}

func checkColumn(in ort.InputOutputInfo, f Feature) error {
	want, name := ort.TensorElementDataType(ort.TensorElementDataTypeFloat), "float32"
	if f.Kind == KindString {
		want, name = ort.TensorElementDataTypeString, "string"
	}
	if in.OrtValueType != ort.ONNXTypeTensor || in.DataType != want {
		return broken("input %q must be a %s tensor since the feature is %s, it is %s", in.Name, name, f.Kind, kindOf(in))
	}
	d := in.Dimensions
	if len(d) != 2 || d[0] > 0 || d[1] > 1 {
		return broken("input %q must have the shape [N,1] with N free, it has %s", in.Name, d)
	}
	return nil
}

func wireOutput(outputs []ort.InputOutputInfo, c Contract) (wiring, error) {
	want := tensorProbabilities
	if c.Task == resource.TaskRegression {
		want = tensorPrediction
	}
	for _, out := range outputs {
		if out.OrtValueType == ort.ONNXTypeSequence || out.OrtValueType == ort.ONNXTypeMap {
			return wiring{}, broken("output %q is a ZipMap (a list of maps), not a tensor; switch it off: "+
				"convert_sklearn(..., options={\"zipmap\": False}), and name the output %q", out.Name, want)
		}
	}
	i := slices.IndexFunc(outputs, func(o ort.InputOutputInfo) bool { return o.Name == want })
	if i < 0 {
		return wiring{}, broken("it has no output %q, which a %s model needs; its outputs are %s", want, c.Task, describe(outputs))
	}
	out := outputs[i]
	if out.DataType != ort.TensorElementDataTypeFloat {
		return wiring{}, broken("output %q must be a float32 tensor, it is %s", want, kindOf(out))
	}
	d, width := out.Dimensions, int64(c.Width())
	vector := len(d) == 1 && width == 1
	if !vector && (len(d) != 2 || d[0] > 0 || (d[1] > 0 && d[1] != width)) {
		return wiring{}, broken("output %q must have the shape [N,%d] with N free, it has %s", want, width, d)
	}
	return wiring{output: want, outputRank: len(d)}, nil
}

func featureNames(c Contract) string {
	names := make([]string, len(c.Features))
	for i, f := range c.Features {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}

func describe(infos []ort.InputOutputInfo) string {
	if len(infos) == 0 {
		return "none"
	}
	out := make([]string, len(infos))
	for i, in := range infos {
		out[i] = fmt.Sprintf("%s (%s)", in.Name, kindOf(in))
	}
	return strings.Join(out, ", ")
}

func kindOf(in ort.InputOutputInfo) string {
	if in.OrtValueType != ort.ONNXTypeTensor {
		return "no tensor"
	}
	names := map[ort.TensorElementDataType]string{
		ort.TensorElementDataTypeFloat: "float32", ort.TensorElementDataTypeDouble: "float64 (double)",
		ort.TensorElementDataTypeInt64: "int64", ort.TensorElementDataTypeInt32: "int32",
		ort.TensorElementDataTypeString: "string", ort.TensorElementDataTypeBool: "bool",
	}
	if name, ok := names[in.DataType]; ok {
		return name
	}
	return in.DataType.String()
}
