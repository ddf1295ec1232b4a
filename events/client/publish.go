package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/tidemill/tidemill/events"
)

// MaxBatch is the most rows of one atomic batch (the broker's own limit).
const MaxBatch = 1000

// Published says where rows are.
type Published struct {
	Rows     int
	Sequence uint64 // of the message with the last row in ROWS; 0 when the batch had been stored by an earlier try
}

// ErrFull says that Tidemill takes no new rows now: what is waiting must be ingested first. Nothing of the batch was taken.
var ErrFull = errors.New("rows are refused for now: the platform's backlog is full; try again later")

// Publish stores rows of a dataset, in order, and returns when all are on disk. Each row is a JSON object (any value that
// encoding/json writes as one, or its bytes). Rows go in atomic batches of up to MaxBatch, many to a message: an error names
// how many rows are stored. A batch that is tried again within two minutes is stored once.
func (c *Client) Publish(ctx context.Context, dataset string, rows ...any) (Published, error) {
	if err := events.ValidName(dataset); err != nil {
		return Published{}, fmt.Errorf("publish rows: %w", err)
	}
	encoded := make([][]byte, len(rows))
	for i, row := range rows {
		b, err := encode(row)
		if err != nil {
			return Published{}, fmt.Errorf("publish rows: row %d: %w", i+1, err)
		}
		encoded[i] = b
	}
	var done Published
	for start := 0; start < len(encoded); start += MaxBatch {
		part := encoded[start:min(start+MaxBatch, len(encoded))]
		seq, err := PublishBatch(ctx, c.js, dataset, part, "")
		if err != nil {
			return done, fmt.Errorf("publish rows %d to %d of %d to %s: %w", start+1, start+len(part), len(rows), dataset, err)
		}
		done.Rows += len(part)
		done.Sequence = max(done.Sequence, seq)
	}
	return done, nil
}

func encode(row any) ([]byte, error) {
	switch r := row.(type) {
	case []byte:
		return r, nil
	case json.RawMessage:
		return r, nil
	case string:
		return []byte(r), nil
	}
	b, err := json.Marshal(row)
	if err == nil && !bytes.HasPrefix(b, []byte("{")) {
		err = fmt.Errorf("a row is a JSON object, not %.40s", b)
	}
	return b, err
}

// PublishBatch stores up to MaxBatch JSON rows in one atomic batch. id makes a retry safe; when it is empty it is derived from
// a fresh number, so that only the retries inside this call are deduplicated. The sequence is 0 when the batch was a duplicate.
func PublishBatch(ctx context.Context, js jetstream.JetStream, dataset string, rows [][]byte, id string) (uint64, error) {
	if id == "" {
		id = nats.NewInbox()
	}
	sum := sha256.Sum256([]byte(id))
	id = hex.EncodeToString(sum[:16])
	const tries = 4
	for try := 1; ; try++ {
		seq, err := publishOnce(ctx, js, events.RowsSubject(dataset), rows, id)
		switch {
		case err == nil, errors.Is(err, ErrFull), ctx.Err() != nil, try == tries, permanent(err):
			return seq, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

func publishOnce(ctx context.Context, js jetstream.JetStream, subject string, rows [][]byte, id string) (uint64, error) {
	msgs := pack(subject, rows)
	if len(msgs) == 1 {
		ack, err := js.PublishMsg(ctx, msgs[0], jetstream.WithMsgID(id))
		if err != nil {
			return 0, refusal(err)
		}
		if ack.Duplicate {
			return 0, nil
		}
		return ack.Sequence, nil
	}
	// The id stands on the first message alone: one duplicate rejects the whole batch, which says that it is stored.
	msgs[0].Header.Set(jetstream.MsgIDHeader, id)
	ack, err := jetstreamext.PublishMsgBatch(ctx, js, msgs, jetstreamext.BatchFlowControl{AckFirst: false})
	if errors.Is(err, jetstreamext.ErrBatchPublishDuplicateMsgID) || hasCode(err, jetstreamext.JSErrCodeBatchPublishDuplicateMsgID) {
		return 0, nil
	}
	if err != nil {
		return 0, refusal(err)
	}
	return ack.Sequence, nil
}

// chunkBytes is how much of a batch goes into one message. A message costs the broker as much as some kilobytes, a subscriber
// even more; far larger ones gain nothing.
const chunkBytes = 64 << 10

// pack puts rows that follow each other into NDJSON messages. What is no line by itself goes alone: a row with a line break, and a
// blank one, which is refused as a row but would be passed over as a line.
func pack(subject string, rows [][]byte) []*nats.Msg {
	var out []*nats.Msg
	var chunk [][]byte
	size := 0
	flush := func() {
		switch len(chunk) {
		case 0:
		case 1:
			out = append(out, &nats.Msg{Subject: subject, Data: chunk[0], Header: nats.Header{}})
		default:
			out = append(out, &nats.Msg{Subject: subject, Data: bytes.Join(chunk, []byte{'\n'}),
				Header: nats.Header{events.HeaderContent: {events.ContentNDJSON}}})
		}
		chunk, size = chunk[:0], 0
	}
	for _, row := range rows {
		alone := bytes.IndexByte(row, '\n') >= 0 || len(bytes.TrimSpace(row)) == 0
		if alone || size+len(row) > chunkBytes {
			flush()
		}
		chunk, size = append(chunk, row), size+len(row)+1
		if alone {
			flush()
		}
	}
	flush()
	return out
}

func hasCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}

// errStoreLimit is the broker's code for a stream that is full and discards new messages.
const errStoreLimit jetstream.ErrorCode = 10077

func refusal(err error) error {
	if hasCode(err, errStoreLimit) {
		return ErrFull
	}
	return err
}

func permanent(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code >= 400 && api.Code < 500 && api.Code != 429
}
