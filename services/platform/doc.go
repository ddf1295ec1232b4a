// Package platform wires Tidemill: which targets there are, what each needs, and how a process that runs some of them starts
// and stops. targets.go is the map.
package platform
