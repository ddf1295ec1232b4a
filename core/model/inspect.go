package model

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of ModelProto and OperatorSetIdProto in onnx.proto.
const (
	modelProducer = 2
	modelGraph    = 7
	modelOpsets   = 8
	opsetDomain   = 1
	opsetVersion  = 2
)

var errNotONNX = errors.New("not an ONNX model")

// Inspect reads what an ONNX file says of itself without loading it: who made it and which operator sets it uses.
func Inspect(onnx []byte) (ONNX, error) {
	out := ONNX{Opsets: map[string]int64{}}
	graph := false
	err := fields(onnx, func(field protowire.Number, value []byte, _ uint64) error {
		switch field {
		case modelProducer:
			out.Producer = string(value)
		case modelGraph:
			graph = true
		case modelOpsets:
			domain, version := "", int64(0)
			err := fields(value, func(field protowire.Number, value []byte, n uint64) error {
				switch field {
				case opsetDomain:
					domain = string(value)
				case opsetVersion:
					version = int64(n)
				}
				return nil
			})
			if err != nil {
				return err
			}
			out.Opsets[domain] = version
		}
		return nil
	})
	if err != nil {
		return ONNX{}, err
	}
	if !graph || len(out.Opsets) == 0 {
		return ONNX{}, fmt.Errorf("%w: it has no graph or names no operator set", errNotONNX)
	}
	return out, nil
}

// fields walks the fields of a protobuf message: value is set for length-delimited ones, n for varints.
func fields(b []byte, each func(field protowire.Number, value []byte, n uint64) error) error {
	for len(b) > 0 {
		field, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return fmt.Errorf("%w: %w", errNotONNX, protowire.ParseError(size))
		}
		b = b[size:]
		var value []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(b)
		default:
			size = protowire.ConsumeFieldValue(field, kind, b)
		}
		if size < 0 {
			return fmt.Errorf("%w: %w", errNotONNX, protowire.ParseError(size))
		}
		b = b[size:]
		if err := each(field, value, n); err != nil {
			return err
		}
	}
	return nil
}
