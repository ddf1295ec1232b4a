package model

import ort "github.com/yalue/onnxruntime_go"

// slot is a set of input and output tensors for n rows. The C library points into the tensors' memory, which the slot keeps
// reachable for as long as the tensors live.
type slot struct {
	n       int
	inputs  []ort.Value
	outputs []ort.Value
	numeric [][]float32         // per feature: the memory behind its tensor; nil for a string feature
	text    []*ort.StringTensor // per feature; nil for a numeric one
	last    [][]string          // per feature and row: what a string tensor of few rows holds now
	matrix  []float32           // [n*F] of the matrix mode
	answer  []float32
}

// newSlot allocates the tensors that the wiring asks for.
func newSlot(c Contract, w wiring, n int) (*slot, error) {
	f := len(c.Features)
	t := &slot{n: n, numeric: make([][]float32, f), text: make([]*ort.StringTensor, f), last: make([][]string, f)}
	if w.input == InputMatrix {
		t.matrix = make([]float32, n*f)
		if err := t.input(t.matrix, ort.NewShape(int64(n), int64(f))); err != nil {
			t.free()
			return nil, err
		}
	} else if err := t.columns(c); err != nil {
		t.free()
		return nil, err
	}
	t.answer = make([]float32, n*c.Width())
	shape := ort.NewShape(int64(n), int64(c.Width()))
	if w.outputRank == 1 {
		shape = shape[:1]
	}
	out, err := ort.NewTensor(shape, t.answer)
	if err != nil {
		t.free()
		return nil, err
	}
	t.outputs = []ort.Value{out}
	return t, nil
}

func (t *slot) columns(c Contract) error {
	shape := ort.NewShape(int64(t.n), 1)
	for i, f := range c.Features {
		if f.Kind == KindNumeric {
			t.numeric[i] = make([]float32, t.n)
			if err := t.input(t.numeric[i], shape); err != nil {
				return err
			}
			continue
		}
		s, err := ort.NewStringTensor(shape)
		if err != nil {
			return err
		}
		t.text[i] = s
		if t.n <= mostShared {
			t.last[i] = make([]string, t.n) // as a fresh tensor holds
		}
		t.inputs = append(t.inputs, s)
	}
	return nil
}

func (t *slot) input(data []float32, shape ort.Shape) error {
	v, err := ort.NewTensor(shape, data)
	if err != nil {
		return err
	}
	t.inputs = append(t.inputs, v)
	return nil
}

// run scores b, which has the slot's n rows, into out.
func (t *slot) run(session *ort.DynamicAdvancedSession, b Batch, out []float32) error {
	for i, c := range b.Columns {
		switch {
		case t.matrix != nil:
			for row, v := range c.Numeric {
				t.matrix[row*len(b.Columns)+i] = v
			}
		case t.numeric[i] != nil:
			copy(t.numeric[i], c.Numeric)
		default:
			if err := t.setText(i, c.Text); err != nil {
				return err
			}
		}
	}
	if err := session.Run(t.inputs, t.outputs); err != nil {
		return err
	}
	copy(out, t.answer)
	return nil
}

func (t *slot) setText(i int, text []string) error {
	if t.last[i] == nil {
		return t.text[i].SetContents(text)
	}
	for row, x := range text {
		if err := t.setOne(i, row, x); err != nil {
			return err
		}
	}
	return nil
}

func (t *slot) setOne(i, row int, x string) error {
	if x == t.last[i][row] { // crossing into C costs more than comparing
		return nil
	}
	if err := t.text[i].SetElement(int64(row), x); err != nil {
		return err
	}
	t.last[i][row] = x
	return nil
}

// runRows scores rows of several callers, as many as the slot has.
func (t *slot) runRows(session *ort.DynamicAdvancedSession, rows []*sharedRow) error {
	for row, r := range rows {
		for i, c := range r.b.Columns {
			switch {
			case t.matrix != nil:
				t.matrix[row*len(r.b.Columns)+i] = c.Numeric[0]
			case t.numeric[i] != nil:
				t.numeric[i][row] = c.Numeric[0]
			default:
				if err := t.setOne(i, row, c.Text[0]); err != nil {
					return err
				}
			}
		}
	}
	if err := session.Run(t.inputs, t.outputs); err != nil {
		return err
	}
	width := len(t.answer) / t.n
	for row, r := range rows {
		copy(r.out, t.answer[row*width:(row+1)*width])
	}
	return nil
}

// free gives the tensors back to the C library.
func (t *slot) free() {
	for _, values := range [][]ort.Value{t.inputs, t.outputs} {
		for _, v := range values {
			_ = v.Destroy() // releasing has nothing to report
		}
	}
}
