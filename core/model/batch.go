package model

import (
	"fmt"
	"strings"
)

// Column holds one feature of every row: Numeric for a numeric feature (null is NaN), Text for a string feature (null is
// ""). The other slice is nil. Text ends at its first NUL byte, since the C library takes it for the end.
type Column struct {
	Numeric []float32
	Text    []string
}

// Batch is N rows of features, in columns in the order of the contract's features. Scoring only reads it.
type Batch struct {
	N       int
	Columns []Column
}

// Slice is the rows from, inclusive, to to, exclusive; it shares the columns' memory.
func (b Batch) Slice(from, to int) Batch {
	out := Batch{N: to - from, Columns: make([]Column, len(b.Columns))}
	for i, c := range b.Columns {
		if c.Numeric != nil {
			out.Columns[i].Numeric = c.Numeric[from:to]
		}
		if c.Text != nil {
			out.Columns[i].Text = c.Text[from:to]
		}
	}
	return out
}

// Check tells whether the batch has the features of the contract.
func (b Batch) Check(features []Feature) error {
	if len(b.Columns) != len(features) {
		names := make([]string, len(features))
		for i, f := range features {
			names[i] = f.Name
		}
		return fmt.Errorf("the model takes %d features (%s), the batch has %d", len(features), strings.Join(names, ", "), len(b.Columns))
	}
	for i, f := range features {
		c := b.Columns[i]
		n, other := len(c.Numeric), len(c.Text)
		if f.Kind == KindString {
			n, other = other, n
		}
		if n != b.N || other != 0 {
			return fmt.Errorf("feature %s needs %d %s values, the batch has %d (and %d of the other kind)", f.Name, b.N, f.Kind, n, other)
		}
	}
	return nil
}
