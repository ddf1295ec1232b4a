package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// keptLog is how much of an attempt's log is kept, in bytes: half of it from its beginning, half from its end.
const keptLog = 16 << 20

// logFile is the log of one attempt. However much is written, its file stays bounded: the middle is left out, and a line says
// so. Its end is written when it is closed. It is not safe for concurrent use.
type logFile struct {
	f    *os.File
	max  int
	head int    // bytes in the file
	tail []byte // what came when the head was full: at most max bytes, of which the newer ones are kept
	lost int    // bytes that were left out
}

// newLogFile begins a log whose file will hold max bytes and a line.
func newLogFile(path string, max int) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("begin a log: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("begin a log: %w", err)
	}
	return &logFile{f: f, max: max}, nil
}

// Write takes whole lines.
func (l *logFile) Write(b []byte) (int, error) {
	if len(l.tail) == 0 && l.head+len(b) <= l.max/2 {
		n, err := l.f.Write(b)
		l.head += n
		return n, err
	}
	l.tail = append(l.tail, b...)
	if len(l.tail) > l.max {
		l.cut()
	}
	return len(b), nil
}

// cut keeps as much of the tail's end as there is room for, from the beginning of a line on.
func (l *logFile) cut() {
	at := len(l.tail) - (l.max - l.head)
	if at <= 0 {
		return
	}
	if end := bytes.IndexByte(l.tail[at-1:], '\n'); end >= 0 {
		at += end
	}
	l.lost += at
	l.tail = append(l.tail[:0], l.tail[at:]...)
}

// Close writes the end of the log.
func (l *logFile) Close() error {
	l.cut()
	var errs []error
	if l.lost > 0 {
		_, err := fmt.Fprintf(l.f, "tidemill: the log was too long, %d bytes are left out here\n", l.lost)
		errs = append(errs, err)
	}
	_, err := l.f.Write(l.tail)
	return errors.Join(append(errs, err, l.f.Close())...)
}
