package onnxgraph

// Attribute is one encoded attribute of a node.
type Attribute []byte

// AttributeProto.AttributeType.
const (
	attrFloat   = 1
	attrInt     = 2
	attrFloats  = 6
	attrInts    = 7
	attrStrings = 8
)

func attribute(name string, kind int64, value func(m *message)) Attribute {
	var m message
	m.text(1, name)
	value(&m)
	m.int(20, kind)
	return Attribute(m)
}

// AttrFloat is a float attribute.
func AttrFloat(name string, v float32) Attribute {
	return attribute(name, attrFloat, func(m *message) { m.float(2, v) })
}

// AttrInt is an integer attribute.
func AttrInt(name string, v int64) Attribute {
	return attribute(name, attrInt, func(m *message) { m.int(3, v) })
}

// AttrFloats is a list of floats.
func AttrFloats(name string, v []float32) Attribute {
	return attribute(name, attrFloats, func(m *message) {
		for _, x := range v {
			m.float(7, x)
		}
	})
}

// AttrInts is a list of integers.
func AttrInts(name string, v []int64) Attribute {
	return attribute(name, attrInts, func(m *message) {
		for _, x := range v {
			m.int(8, x)
		}
	})
}

// AttrStrings is a list of strings.
func AttrStrings(name string, v []string) Attribute {
	return attribute(name, attrStrings, func(m *message) {
		for _, x := range v {
			m.text(9, x)
		}
	})
}
