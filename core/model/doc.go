// Package model holds a trained model at rest and in use: the package (model.onnx and its manifest), the contract between
// the two, and scoring through ONNX Runtime. It is the only room that knows ONNX Runtime.
//
// A model takes one [N,1] tensor per feature, by name (numeric: float32, null as NaN; string: null as ""), or one float32
// [N,F] tensor named "features" in the manifest's order. It answers with float32 "probabilities" [N,C] in the order of the
// manifest's classes, or, for a regression, with float32 "prediction" [N,1].
package model
