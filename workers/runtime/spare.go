package runtime

import (
	"os"
	"path/filepath"
)

// spareFolder holds, in a runner's Dir, folders that were made for trials to come.
const spareFolder = ".spare"

// spare keeps one set of a trial's folders in store. A trial waits for its folders before its process can start, and on many file
// systems making eight of them takes longer than all else; renaming one takes no time.
type spare struct {
	dir   string
	ready chan string
}

func newSpare(dir string) *spare {
	return &spare{dir: filepath.Join(dir, spareFolder), ready: make(chan string, 1)}
}

// take moves the set that is in store to scratch. Without one the trial makes its own.
func (s *spare) take(scratch string) {
	select {
	case dir := <-s.ready:
		if os.Rename(dir, scratch) != nil {
			_ = os.RemoveAll(dir) // clean removes what is left
		}
	default:
	}
}

// refill puts a set in store. It is called while a trainer works, and the runner has nothing to do.
func (s *spare) refill() {
	if len(s.ready) == cap(s.ready) || os.MkdirAll(s.dir, 0o755) != nil {
		return
	}
	dir, err := os.MkdirTemp(s.dir, "")
	if err != nil {
		return
	}
	f := foldersIn(dir, "")
	for _, folder := range []string{f.code, f.train, f.validation, f.model, f.output, f.temp} {
		if os.MkdirAll(folder, 0o755) != nil {
			_ = os.RemoveAll(dir)
			return
		}
	}
	if os.Chmod(dir, 0o755) != nil { // as the trial would have made it
		_ = os.RemoveAll(dir)
		return
	}
	select {
	case s.ready <- dir:
	default: // another slot was faster
		_ = os.RemoveAll(dir)
	}
}

// clean removes what is in store, of dead runners of the same Dir too.
func (s *spare) clean() {
	select {
	case <-s.ready:
	default:
	}
	_ = os.RemoveAll(s.dir)
}
