package demo

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/examples"
)

// flight is one row of the quickstart's data as a user would send it.
type flight struct {
	at  time.Time
	row []byte
}

type flightRow struct {
	Date        string  `json:"date"`
	Delay       float64 `json:"delay"`
	Distance    float64 `json:"distance"`
	Origin      string  `json:"origin"`
	Destination string  `json:"destination"`
}

// load reads the embedded flights in order of time. With a seed other than 0 everything but the date is shuffled among the rows:
// the control in which nothing drifts.
func load(ctx context.Context, shuffle uint64) ([]flight, error) {
	dir, err := os.MkdirTemp("", "tidemill-demo-")
	if err != nil {
		return nil, fmt.Errorf("read the flights: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "flights.parquet")
	if err := os.WriteFile(path, examples.FlightsParquet, 0o600); err != nil {
		return nil, fmt.Errorf("read the flights: %w", err)
	}
	engine, err := lake.OpenEngine(ctx, lake.EngineOptions{Dirs: []string{dir}, Threads: 1})
	if err != nil {
		return nil, fmt.Errorf("read the flights: %w", err)
	}
	defer engine.Close()
	var times []time.Time
	var rows []flightRow
	err = engine.Scan(ctx, "SELECT date, delay::DOUBLE, distance::DOUBLE, origin, destination FROM "+lake.ReadParquet([]string{path}),
		func(v []driver.Value) error {
			at, ok := v[0].(time.Time)
			if !ok {
				return fmt.Errorf("flight %d has no date", len(rows))
			}
			times = append(times, at.UTC())
			rows = append(rows, flightRow{Delay: number(v[1]), Distance: number(v[2]), Origin: text(v[3]), Destination: text(v[4])})
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the flights: %w", err)
	}
	if shuffle != 0 {
		r := rand.New(rand.NewPCG(shuffle, 0))
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	out := make([]flight, len(rows))
	for i, row := range rows {
		row.Date = times[i].Format("2006-01-02T15:04:05.999999Z07:00")
		b, err := json.Marshal(row)
		if err != nil {
			return nil, fmt.Errorf("read the flights: row %d: %w", i, err)
		}
		out[i] = flight{at: times[i], row: b}
	}
	return out, nil
}

func number(v driver.Value) float64 { f, _ := v.(float64); return f }
func text(v driver.Value) string    { s, _ := v.(string); return s }
