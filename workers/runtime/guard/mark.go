package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Variables of the environment that mark the processes of a trial.
const (
	WorkerVariable = "TIDEMILL_WORKER"
	TrialVariable  = "TIDEMILL_TRIAL"
)

// Mark tells the processes of one attempt of a trial from all others.
type Mark struct {
	Worker  string // [WorkerID]
	Trial   string
	Attempt int
}

// Environ is the mark as variables of an environment.
func (m Mark) Environ() []string {
	return []string{WorkerVariable + "=" + m.Worker, TrialVariable + "=" + m.Trial + "/" + strconv.Itoa(m.Attempt)}
}

// in tells whether an environment, as /proc gives it, carries the mark.
func (m Mark) in(environ []string) bool {
	if m.Worker == "" {
		return false
	}
	both := m.Environ()
	found := 0
	for _, v := range environ {
		if v == both[0] || v == both[1] {
			found++
		}
	}
	return found == len(both)
}

// WorkerID names this process as the worker of a folder of trials: the folder, the process's number and when it started, so
// that no later process has the same name.
func WorkerID(dir string) string {
	pid := os.Getpid()
	p, _ := read(pid) // where processes can't be read, the number has to do
	return fmt.Sprintf("%s.%d.%d", folderID(dir), pid, p.start)
}

// folderID is the folder's part in the names of its workers.
func folderID(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	sum := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(sum[:8])
}

// gone tells whether the worker of an id no longer runs. An id that can't be read is nobody's business: not gone.
func gone(id string) bool {
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		return false
	}
	pid, err := strconv.Atoi(parts[1])
	if err != nil {
		return false
	}
	start, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		return false
	}
	p, ok := read(pid)
	return !ok || p.start != start || p.zombie
}
