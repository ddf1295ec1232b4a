// Package oip reads and writes the messages of the Open Inference Protocol, version 2, over REST: inference requests and
// responses as JSON. It knows nothing of models.
//
// Reading is made for one small request at a time: a Request is reused, its parts point into the body, and the data of a tensor
// is only read once somebody says what it is for.
package oip
