// Package examples holds the quickstart that 'tidemill up --demo' runs: its declarations and its data. flights/README.md says
// where the data comes from.
package examples

import _ "embed"

// FlightsYAML declares the dataset, the model and the policy of the quickstart.
//
//go:embed flights/tidemill.yaml
var FlightsYAML []byte

// FlightsParquet holds 300,000 flights in order of time.
//
//go:embed flights/flights.parquet
var FlightsParquet []byte
