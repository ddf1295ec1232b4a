package gateway

import "github.com/tidemill/tidemill/infra/lifecycle"

// Applied is the sequence of the last fact that the gateway has folded.
func Applied(c lifecycle.Component) uint64 { return c.(*Service).projection.Applied() }
