// Package obs is how Tidemill is observed: logs (zap), metrics (Prometheus) and traces (OpenTelemetry). Everything is made here
// and handed on; nothing is global.
package obs

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// Names of log fields that mean the same everywhere.
const (
	KeyCycle   = "cycle_id"
	KeyEvent   = "event_id"
	KeyModel   = "model"
	KeyDataset = "dataset"
	KeySubject = "subject"
)

// Cycle is the field with a cycle's id.
func Cycle(id string) zap.Field { return zap.String(KeyCycle, id) }

// Event is the field with a fact's id.
func Event(id string) zap.Field { return zap.String(KeyEvent, id) }

// Model is the field with a model's name.
func Model(name string) zap.Field { return zap.String(KeyModel, name) }

// Dataset is the field with a dataset's name.
func Dataset(name string) zap.Field { return zap.String(KeyDataset, name) }

// Subject is the field with a message's subject.
func Subject(subject string) zap.Field { return zap.String(KeySubject, subject) }

// Format is how log lines look.
type Format string

// The formats. Auto is Console on a terminal and JSON elsewhere.
const (
	Auto    Format = "auto"
	Console Format = "console"
	JSON    Format = "json"
)

// LogOptions say what is logged, where and how.
type LogOptions struct {
	// Level is debug, info, warn or error; "" means info.
	Level string
	// Format; "" means Auto.
	Format Format
	// Out; nil means standard error, so that standard output stays a command's answer.
	Out io.Writer
}

// NewLogger makes a logger. The level can be changed later through what it returns beside.
func NewLogger(o LogOptions) (*zap.Logger, zap.AtomicLevel, error) {
	if o.Level == "" {
		o.Level = "info"
	}
	if o.Out == nil {
		o.Out = os.Stderr
	}
	level, err := zap.ParseAtomicLevel(o.Level)
	if err != nil {
		return nil, level, fmt.Errorf("log level %q: use debug, info, warn or error", o.Level)
	}
	encoder, err := newEncoder(o.Format, o.Out)
	if err != nil {
		return nil, level, err
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(o.Out)), level)
	return zap.New(core, zap.ErrorOutput(zapcore.Lock(os.Stderr)), zap.AddStacktrace(zap.DPanicLevel)), level, nil
}

func newEncoder(format Format, out io.Writer) (zapcore.Encoder, error) {
	terminal := isTerminal(out)
	if format == "" || format == Auto {
		format = JSON
		if terminal {
			format = Console
		}
	}
	switch format {
	case Console:
		c := zap.NewDevelopmentEncoderConfig()
		c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		c.EncodeLevel = zapcore.CapitalLevelEncoder
		if terminal {
			c.EncodeLevel = zapcore.CapitalColorLevelEncoder
		}
		c.CallerKey = zapcore.OmitKey
		return zapcore.NewConsoleEncoder(c), nil
	case JSON:
		c := zap.NewProductionEncoderConfig()
		c.TimeKey, c.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
		c.EncodeDuration = zapcore.StringDurationEncoder
		c.CallerKey = zapcore.OmitKey
		return zapcore.NewJSONEncoder(c), nil
	}
	return nil, fmt.Errorf("log format %q: use auto, console or json", format)
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
