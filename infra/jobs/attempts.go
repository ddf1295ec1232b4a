package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/infra/state"
)

var (
	// ErrFinished says that the job has its result already; there is nothing left to do but to tell about it.
	ErrFinished = errors.New("the job is finished")
	// ErrStale says that another attempt began after this one; its result counts, this one's doesn't.
	ErrStale = errors.New("another attempt has begun")
)

const maxConflicts = 64

// Attempt is one worker's try at a job.
type Attempt struct {
	Job string
	// Number counts the attempts that began, from 1.
	Number int
	// Lost counts the earlier attempts that ended without a word: no result came of them, and nobody handed the job back.
	Lost int
	// Token is what only this attempt knows.
	Token string
	// Note is the newest that an earlier attempt left; nil when none did.
	Note []byte
	// Result is set beside ErrFinished alone.
	Result []byte
}

// record is what is kept for a job.
type record struct {
	Number   int    `json:"number"`
	Lost     int    `json:"lost,omitempty"`
	Token    string `json:"token"` // of the newest attempt; "" when it handed the job back
	Note     []byte `json:"note,omitempty"`
	Finished bool   `json:"finished,omitempty"`
	Result   []byte `json:"result,omitempty"`
}

// Attempts keeps, per job, the attempt that counts, its note and the result. It is safe for concurrent use.
type Attempts struct{ store *state.Store[record] }

// OpenAttempts opens the bucket that keeps attempts and creates it when missing.
func OpenAttempts(ctx context.Context, js jetstream.JetStream, bucket string, o state.Options) (*Attempts, error) {
	store, err := state.Open[record](ctx, js, bucket, o)
	if err != nil {
		return nil, err
	}
	return &Attempts{store: store}, nil
}

// Begin makes a new attempt the one that counts. ErrFinished when the job has a result: the attempt then carries it.
func (a *Attempts) Begin(ctx context.Context, job string) (Attempt, error) {
	token := uuid.NewString()
	for range maxConflicts {
		doc, err := a.load(ctx, job)
		if err != nil {
			return Attempt{}, fmt.Errorf("begin attempt at %s: %w", job, err)
		}
		r := doc.Value
		if r.Finished {
			return r.attempt(job), ErrFinished
		}
		if r.Token != token { // else an earlier round's write landed, but its answer was lost
			if r.Token != "" {
				r.Lost++
			}
			r.Number, r.Token = r.Number+1, token
			doc.Value = r
			_, err = a.store.Update(ctx, doc)
		}
		if err == nil {
			return r.attempt(job), nil
		}
		if !errors.Is(err, state.ErrConflict) {
			return Attempt{}, fmt.Errorf("begin attempt at %s: %w", job, err)
		}
	}
	return Attempt{}, fmt.Errorf("begin attempt at %s: %w", job, state.ErrConflict)
}

func (r record) attempt(job string) Attempt {
	return Attempt{Job: job, Number: r.Number, Lost: r.Lost, Token: r.Token, Note: r.Note, Result: r.Result}
}

// Note keeps what the next attempt should know, over what was kept before; ErrStale if another attempt has begun.
func (a *Attempts) Note(ctx context.Context, attempt Attempt, note []byte) error {
	return a.change(ctx, "note of", attempt, func(r *record) { r.Note = note })
}

// Release hands the job back: the next attempt doesn't count this one as lost. Nothing of this attempt counts afterwards.
// ErrStale if another attempt has begun.
func (a *Attempts) Release(ctx context.Context, attempt Attempt) error {
	return a.change(ctx, "release", attempt, func(r *record) { r.Token = "" })
}

// Finish makes result the job's, if no other attempt has begun meanwhile; else ErrStale. Finishing an attempt twice is safe; the
// first result stays.
func (a *Attempts) Finish(ctx context.Context, attempt Attempt, result []byte) error {
	return a.change(ctx, "finish", attempt, func(r *record) { r.Finished, r.Result, r.Note = true, result, nil })
}

// change changes what is kept of the attempt that counts. What is finished stays as it is.
func (a *Attempts) change(ctx context.Context, verb string, attempt Attempt, change func(*record)) error {
	for range maxConflicts {
		doc, err := a.load(ctx, attempt.Job)
		if err != nil {
			return fmt.Errorf("%s attempt %d at %s: %w", verb, attempt.Number, attempt.Job, err)
		}
		if attempt.Token == "" || doc.Value.Token != attempt.Token {
			return fmt.Errorf("%s attempt %d at %s: %w (number %d)", verb, attempt.Number, attempt.Job, ErrStale, doc.Value.Number)
		}
		if doc.Value.Finished {
			return nil
		}
		change(&doc.Value)
		_, err = a.store.Update(ctx, doc)
		if err == nil {
			return nil
		}
		if !errors.Is(err, state.ErrConflict) {
			return fmt.Errorf("%s attempt %d at %s: %w", verb, attempt.Number, attempt.Job, err)
		}
	}
	return fmt.Errorf("%s attempt %d at %s: %w", verb, attempt.Number, attempt.Job, state.ErrConflict)
}

// Current tells whether no other attempt has begun since; a worker may ask now and then, to stop work that won't count.
func (a *Attempts) Current(ctx context.Context, attempt Attempt) (bool, error) {
	doc, err := a.load(ctx, attempt.Job)
	if err != nil {
		return false, fmt.Errorf("look at attempt %d at %s: %w", attempt.Number, attempt.Job, err)
	}
	return attempt.Token != "" && doc.Value.Token == attempt.Token, nil
}

// Result reads a job's result; ok is false while there is none.
func (a *Attempts) Result(ctx context.Context, job string) (result []byte, ok bool, err error) {
	doc, err := a.load(ctx, job)
	if err != nil {
		return nil, false, fmt.Errorf("read result of %s: %w", job, err)
	}
	return doc.Value.Result, doc.Value.Finished, nil
}

func (a *Attempts) load(ctx context.Context, job string) (state.Document[record], error) {
	doc, err := a.store.Get(ctx, job)
	if errors.Is(err, state.ErrNotFound) {
		return state.Document[record]{Key: job}, nil
	}
	return doc, err
}
