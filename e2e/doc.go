// Package e2e holds the stories: tests that start the real binary, as people and programs use it, and look at what comes out.
// One file is one story. They need 'make build' and the ONNX Runtime library (infra/dev/setup.sh onnxruntime); 'make e2e' sees
// to both.
package e2e
