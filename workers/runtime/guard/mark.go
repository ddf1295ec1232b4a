package guard

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	return []string{WorkerVariable + "=" + m.Worker, TrialVariable + "=" + m.attempt()}
}

func (m Mark) attempt() string { return m.Trial + "/" + strconv.Itoa(m.Attempt) }

// in tells whether an environment, as /proc gives it, carries the mark.
func (m Mark) in(environ []string) bool {
	for _, v := range m.Environ() {
		if !slices.Contains(environ, v) {
			return false
		}
	}
	return m.Worker != ""
}

// The mark is a number, too, that a process hands on to whatever it starts, be its environment what it may: see tag_linux.go.
// From the top it has a one, and the hashes of the worker's folder, of the worker and of the attempt.
const (
	tagBit    = 1 << 62
	tagFolder = 22
	tagWorker = 20
	tagTrial  = 20
)

// tag is the mark as a number; 0 without a worker.
func (m Mark) tag() uint64 {
	if m.Worker == "" {
		return 0
	}
	return workerTag(m.Worker) | hash(m.attempt(), tagTrial)
}

// workerTag is the part of a tag that all trials of a worker share.
func workerTag(worker string) uint64 {
	folder, _, _ := strings.Cut(worker, ".")
	return folderTag(folder) | hash(worker, tagWorker)<<tagTrial
}

// folderTag is the part of a tag that all workers of a folder share.
func folderTag(folder string) uint64 {
	return tagBit | hash(folder, tagFolder)<<(tagWorker+tagTrial)
}

// hash is the first bits of a text's hash.
func hash(s string, bits int) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:8]) >> (64 - bits)
}

// WorkerID names this process as the worker of a folder of trials: the folder, the process's number and when it started, so
// that no later process has the same name.
func WorkerID(dir string) string {
	pid := os.Getpid()
	p, _ := read(pid) // where processes can't be read, the number has to do
	return workerID(folderID(dir), pid, p.start)
}

func workerID(folder string, pid int, start uint64) string {
	return fmt.Sprintf("%s.%d.%d", folder, pid, start)
}

// folderID is the folder's part in the names of its workers. Numbers of processes mean something in one namespace only, and
// two containers may know different folders by one path.
func folderID(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	sum := sha256.Sum256([]byte(dir + "\x00" + namespace()))
	return hex.EncodeToString(sum[:8])
}
