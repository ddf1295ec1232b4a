package onnxgraph

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Versions that every graph declares; ONNX Runtime 1.13 and newer run them.
const (
	irVersion = 8
	opset     = 17 // of the standard operators
	opsetML   = 3  // of ai.onnx.ml
	domainML  = "ai.onnx.ml"
)

// Elem is the element type of a tensor (TensorProto.DataType).
type Elem int

// Element types.
const (
	Inferred Elem = 0 // outputs only: the runtime infers the type
	Float    Elem = 1
	Int64    Elem = 7
	String   Elem = 8
	Double   Elem = 11
)

// Rows is a dimension that may have any length: the number of rows.
const Rows int64 = -1

// Graph collects nodes in the order in which they run.
type Graph struct {
	name                                 string
	nodes, initializers, inputs, outputs [][]byte
}

// New begins a graph.
func New(name string) *Graph { return &Graph{name: name} }

// Input declares an input tensor; a dimension may be [Rows].
func (g *Graph) Input(name string, e Elem, dims ...int64) {
	g.inputs = append(g.inputs, valueInfo(name, e, dims))
}

// Output declares an output tensor; a dimension may be [Rows].
func (g *Graph) Output(name string, e Elem, dims ...int64) {
	g.outputs = append(g.outputs, valueInfo(name, e, dims))
}

// Floats declares a constant float32 tensor, row-major.
func (g *Graph) Floats(name string, values []float32, dims ...int64) {
	raw := make([]byte, 0, 4*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	g.initializers = append(g.initializers, tensor(name, Float, raw, dims))
}

// Ints declares a constant int64 tensor, row-major.
func (g *Graph) Ints(name string, values []int64, dims ...int64) {
	raw := make([]byte, 0, 8*len(values))
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	g.initializers = append(g.initializers, tensor(name, Int64, raw, dims))
}

// Node adds a standard operator.
func (g *Graph) Node(op string, inputs, outputs []string, attributes ...Attribute) {
	g.node("", op, inputs, outputs, attributes)
}

// NodeML adds an operator of the machine-learning domain (ai.onnx.ml).
func (g *Graph) NodeML(op string, inputs, outputs []string, attributes ...Attribute) {
	g.node(domainML, op, inputs, outputs, attributes)
}

func (g *Graph) node(domain, op string, inputs, outputs []string, attributes []Attribute) {
	var m message
	for _, s := range inputs {
		m.text(1, s)
	}
	for _, s := range outputs {
		m.text(2, s)
	}
	m.text(3, outputs[0])
	m.text(4, op)
	for _, a := range attributes {
		m.bytes(5, a)
	}
	if domain != "" {
		m.text(7, domain)
	}
	g.nodes = append(g.nodes, m)
}

// Marshal is the model's bytes. The same calls give the same bytes.
func (g *Graph) Marshal() []byte {
	var graph message
	for _, b := range g.nodes {
		graph.bytes(1, b)
	}
	graph.text(2, g.name)
	for _, b := range g.initializers {
		graph.bytes(5, b)
	}
	for _, b := range g.inputs {
		graph.bytes(11, b)
	}
	for _, b := range g.outputs {
		graph.bytes(12, b)
	}
	var model message
	model.int(1, irVersion)
	model.text(2, "tidemill")
	model.bytes(7, graph)
	model.bytes(8, operatorSet("", opset))
	model.bytes(8, operatorSet(domainML, opsetML))
	return model
}

func operatorSet(domain string, version int64) []byte {
	var m message
	m.text(1, domain)
	m.int(2, version)
	return m
}

func tensor(name string, e Elem, raw []byte, dims []int64) []byte {
	var m message
	for _, d := range dims {
		m.int(1, d)
	}
	m.int(2, int64(e))
	m.text(8, name)
	m.bytes(9, raw)
	return m
}

func valueInfo(name string, e Elem, dims []int64) []byte {
	var info message
	info.text(1, name)
	if e == Inferred {
		return info
	}
	var shape message
	for _, d := range dims {
		var dim message
		if d == Rows {
			dim.text(2, "N")
		} else {
			dim.int(1, d)
		}
		shape.bytes(1, dim)
	}
	var tensorType, typeProto message
	tensorType.int(1, int64(e))
	tensorType.bytes(2, shape)
	typeProto.bytes(1, tensorType)
	info.bytes(2, typeProto)
	return info
}

// message is a protobuf message under construction.
type message []byte

func (m *message) int(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) bytes(field protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), b)
}

func (m *message) text(field protowire.Number, s string) { m.bytes(field, []byte(s)) }

func (m *message) float(field protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), math.Float32bits(v))
}
