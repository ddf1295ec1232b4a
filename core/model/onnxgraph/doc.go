// Package onnxgraph writes ONNX models as protobuf bytes: just enough of the format for the graphs that the built-in
// trainers make. Field numbers are those of onnx.proto (ONNX 1.12, IR version 8).
package onnxgraph
