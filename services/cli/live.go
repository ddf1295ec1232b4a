package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/services/api/call"
)

// backoff is a growing pause between tries.
type backoff struct{ next time.Duration }

const (
	firstPause = 200 * time.Millisecond
	mostPause  = 30 * time.Second
)

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context) error {
	b.next = min(max(2*b.next, firstPause), mostPause)
	return lifecycle.Pause(ctx, b.next)
}

// live hands events to handle until ctx ends (nil) or handle returns an error; call.ErrStop ends it well. When the connection is
// lost, it goes on where it left off.
func (a *app) live(ctx context.Context, client *call.Client, query url.Values, handle func(call.Event) error) error {
	var handled error
	wait, connected, told := backoff{}, false, false
	for {
		err := client.Stream(ctx, query, func(e call.Event) error {
			connected, told = true, false
			wait.reset()
			if handled = handle(e); handled != nil {
				return call.ErrStop
			}
			if seq, err := strconv.ParseUint(e.ID, 10, 64); err == nil {
				query.Set("since", strconv.FormatUint(seq+1, 10))
			}
			return nil
		})
		var refused *call.Error
		switch {
		case errors.Is(handled, call.ErrStop), ctx.Err() != nil:
			return nil
		case handled != nil:
			return handled
		case err != nil && (!connected || errors.As(err, &refused) && refused.Status < 500):
			return err
		}
		connected = true
		if !told {
			a.note("the connection is lost; trying again until it is back")
			told = true
		}
		if wait.wait(ctx) != nil {
			return nil
		}
	}
}

// note tells a person something that is no part of the answer.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.Err, format+"\n", args...)
}
