package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// figure is one line of the table.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Aim   string  `json:"aim,omitempty"`
}

// board collects figures while benchmarks run.
var board struct {
	sync.Mutex
	figures []figure
}

// note records a figure for the table and for Go's own report.
func note(b *testing.B, f figure) {
	b.ReportMetric(f.Value, f.Unit)
	board.Lock()
	defer board.Unlock()
	board.figures = append(board.figures, f)
}

func TestMain(m *testing.M) {
	if addr := os.Getenv(helloEnv); addr != "" {
		serveHello(addr)
		return
	}
	code := m.Run()
	if len(board.figures) > 0 {
		fmt.Printf("\n%-52s %12s  %-10s %s\n", "figure (median)", "value", "unit", "aim")
		for _, f := range board.figures {
			fmt.Printf("%-52s %12.5g  %-10s %s\n", f.Name, f.Value, f.Unit, f.Aim)
		}
		line, err := json.Marshal(map[string]any{"figures": board.figures, "at": time.Now().UTC().Format(time.RFC3339)})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("%s\n", line)
	}
	os.Exit(code)
}

// quantile of values, by the nearest rank.
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return 0
	}
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func median(values []float64) float64 { return quantile(values, 0.5) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
