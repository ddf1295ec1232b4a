package state

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrNotFound says that there is no document under the key.
	ErrNotFound = errors.New("document not found")
	// ErrConflict says that somebody else wrote the document first: load it again and decide again.
	ErrConflict = errors.New("document was changed meanwhile")
	// ErrTooLarge says that a document does not fit into one message; keep big things in the object store and refer to them.
	ErrTooLarge = errors.New("document too large")
	// ErrUnchanged is what a decision returns to leave the document as it is: nothing is written, the cause is not recorded.
	ErrUnchanged = errors.New("nothing to change")
)

// conflict maps the broker's answers to a lost compare-and-set onto ErrConflict.
func conflict(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return fmt.Errorf("%w: %w", ErrConflict, err)
	}
	return err
}
