// Package schemas holds Tidemill's contracts as bytes: a JSON Schema (2020-12) per resource kind and per fact type, with
// one golden example per fact, all embedded.
//
//	tidemill.schema.json                     any resource; point an editor at it
//	resource/<kind>.schema.json              one kind; unknown fields are errors
//	facts/<noun>.<verb>.v1.schema.json       one fact, envelope and payload; unknown fields are welcome
//	facts/examples/<noun>.<verb>.v1.json     a fact that uses every field
//
// The resource schemas stand alone and have no $id, so that an editor takes them from wherever they lie. Their "default"
// values are the defaults: package core/resource fills them in from here. Within v1 a fact's schema only grows optional
// fields; a test in package events holds the schemas, the examples and the payload structs together.
package schemas
