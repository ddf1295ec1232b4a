package bench

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/e2e/harness"
)

const (
	startRounds = 5
	idleFor     = 3 * time.Second
)

// BenchmarkStart starts the platform in a fresh directory until it is ready, and looks at its memory when it has been idle.
func BenchmarkStart(b *testing.B) {
	var ready, memory []float64
	for b.Loop() {
		for range startRounds {
			dir := harness.Dir(b)
			began := time.Now()
			m := harness.Up(b, dir, nil)
			ready = append(ready, milliseconds(time.Since(began)))
			time.Sleep(idleFor) // it is idleness that is measured
			memory = append(memory, residentMB(b, m.PID()))
			m.Kill()
		}
	}
	note(b, figure{Name: "start: process → ready, fresh directory", Value: median(ready), Unit: "ready-ms", Aim: "≤ 1000"})
	note(b, figure{Name: "start: memory when idle (resident)", Value: median(memory), Unit: "MB", Aim: "≤ 250"})
}

// residentMB is the resident memory of a process.
func residentMB(b *testing.B, pid int) float64 {
	b.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(b, err, "memory is read from /proc: run the benchmarks on Linux")
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			var kb float64
			_, err := fmt.Sscan(value, &kb)
			require.NoError(b, err)
			return kb / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
