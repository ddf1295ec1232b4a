package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/bus"
	"github.com/tidemill/tidemill/services/api"
)

const (
	plainText = "text/plain; charset=utf-8"
	lookEvery = 200 * time.Millisecond
)

// getLog sends what a trial printed: all of it when it has ended and its log was kept, else the lines that came with its progress.
// With ?follow=true it goes on until the trial has ended.
func (s *Service) getLog(w http.ResponseWriter, r *http.Request) error {
	t, err := s.trialNamed(r.Context(), r.PathValue("trial"))
	if err != nil {
		return err
	}
	if t.Result != nil && t.Result.Log != nil {
		missing := fail(http.StatusGone, "", "the log of %s is no longer stored", t.Trial.Trial)
		return s.sendBlob(w, r, t.Result.Log.Key, plainText, missing)
	}
	w.Header().Set("Content-Type", plainText)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	c := http.NewResponseController(w)
	defer func() { _ = c.SetWriteDeadline(time.Time{}) }() // the connection may carry other requests
	out := &logWriter{w: w, c: c, trial: t.Trial.Trial}
	if t.Result != nil {
		out.lines(t.Result.LogTail)
		return nil
	}
	out.flush() // who follows sees that it begins
	s.tellLog(r.Context(), out, t, r.URL.Query().Get("follow") == "true")
	return nil
}

// tellLog writes the lines of a trial's progress, and when they are to be followed, until it has ended.
func (s *Service) tellLog(ctx context.Context, out *logWriter, t api.TrialDetail, follow bool) {
	if follow {
		running, stop := context.WithCancel(ctx)
		go s.awaitEnd(running, t, stop)
		_ = s.readLog(running, out, t.Model, nil) // it ends with the trial, or with who reads
		stop()
		if ctx.Err() != nil || out.err != nil {
			return
		}
	}
	// What was said up to now is all that there is.
	rest, stop := context.WithCancel(ctx)
	defer stop()
	_ = s.readLog(rest, out, t.Model, stop) // a broker that is away ends the lines
}

// readLog follows the progress of a model from where out is.
func (s *Service) readLog(ctx context.Context, out *logWriter, model string, caughtUp func()) error {
	o := bus.FollowOptions{From: out.seq.Load() + 1, Subjects: []string{events.ProgressSubject(model)}, CaughtUp: func(uint64) {
		if caughtUp != nil {
			caughtUp()
		}
	}}
	return bus.LedgerOf(s.host.JS, events.StreamProgress).Follow(ctx, o, func(f events.Fact) error {
		out.seq.Store(f.Seq)
		p, err := events.PayloadOf[events.TrialProgressed](f)
		if err == nil && p.Trial == out.trial {
			out.progress(p)
		}
		return out.err
	})
}

// awaitEnd calls ended when the trial has a result, or its cycle is over.
func (s *Service) awaitEnd(ctx context.Context, t api.TrialDetail, ended func()) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		c, known := s.projection.Cycle(t.Model, t.Cycle)
		if !known || c.Outcome != "" {
			ended()
			return
		}
		for _, x := range c.Trials {
			if x.Trial == t.Trial.Trial && x.State != "queued" && x.State != "running" {
				ended()
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// logWriter writes lines as they come; after an error it writes nothing more.
type logWriter struct {
	w       io.Writer
	c       *http.ResponseController
	trial   string
	attempt int
	seq     atomic.Uint64 // of the last progress that was read
	err     error
}

func (o *logWriter) progress(p events.TrialProgressed) {
	if o.attempt != 0 && p.Attempt != o.attempt {
		o.lines([]string{fmt.Sprintf("tidemill: attempt %d", p.Attempt)})
	}
	o.attempt = p.Attempt
	o.lines(p.Log)
}

func (o *logWriter) lines(all []string) {
	// A reader that takes nothing for so long is gone.
	_ = o.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	for _, l := range all {
		if o.err == nil {
			_, o.err = fmt.Fprintln(o.w, l)
		}
	}
	if len(all) > 0 {
		o.flush()
	}
}

func (o *logWriter) flush() {
	if o.err == nil {
		o.err = o.c.Flush()
	}
}
