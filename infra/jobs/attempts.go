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
	// Token is what only this attempt knows.
	Token string
	// Result is set beside ErrFinished alone.
	Result []byte
}

// record is what is kept for a job.
type record struct {
	Number   int    `json:"number"`
	Token    string `json:"token"`
	Finished bool   `json:"finished,omitempty"`
	Result   []byte `json:"result,omitempty"`
}

// Attempts keeps, per job, the attempt that counts and the result. It is safe for concurrent use.
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
		if doc.Value.Finished {
			return Attempt{Job: job, Number: doc.Value.Number, Token: doc.Value.Token, Result: doc.Value.Result}, ErrFinished
		}
		if doc.Value.Token != token { // else an earlier round's write landed, but its answer was lost
			doc.Value = record{Number: doc.Value.Number + 1, Token: token}
			_, err = a.store.Update(ctx, doc)
		}
		if err == nil {
			return Attempt{Job: job, Number: doc.Value.Number, Token: token}, nil
		}
		if !errors.Is(err, state.ErrConflict) {
			return Attempt{}, fmt.Errorf("begin attempt at %s: %w", job, err)
		}
	}
	return Attempt{}, fmt.Errorf("begin attempt at %s: %w", job, state.ErrConflict)
}

// Finish makes result the job's, if no other attempt has begun meanwhile; else ErrStale. Finishing an attempt twice is safe; the
// first result stays.
func (a *Attempts) Finish(ctx context.Context, attempt Attempt, result []byte) error {
	for range maxConflicts {
		doc, err := a.load(ctx, attempt.Job)
		if err != nil {
			return fmt.Errorf("finish attempt %d at %s: %w", attempt.Number, attempt.Job, err)
		}
		if attempt.Token == "" || doc.Value.Token != attempt.Token {
			return fmt.Errorf("finish attempt %d at %s: %w (number %d)", attempt.Number, attempt.Job, ErrStale, doc.Value.Number)
		}
		if doc.Value.Finished {
			return nil
		}
		doc.Value.Finished, doc.Value.Result = true, result
		_, err = a.store.Update(ctx, doc)
		if err == nil {
			return nil
		}
		if !errors.Is(err, state.ErrConflict) {
			return fmt.Errorf("finish attempt %d at %s: %w", attempt.Number, attempt.Job, err)
		}
	}
	return fmt.Errorf("finish attempt %d at %s: %w", attempt.Number, attempt.Job, state.ErrConflict)
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
