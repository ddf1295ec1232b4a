package call

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
)

// Event is one server-sent event.
type Event struct {
	ID, Name string
	Data     []byte
}

// ErrStop ends Stream without an error.
var ErrStop = errors.New("stop")

// Stream reads the server-sent events of /api/v1/facts until ctx ends, the server closes or handle returns an error.
func (c *Client) Stream(ctx context.Context, query url.Values, handle func(Event) error) error {
	resp, err := c.Do(ctx, http.MethodGet, "/api/v1/facts", query, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), 8<<20)
	var e Event
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 {
			if e.Name != "" || len(e.Data) > 0 {
				if err := handle(e); errors.Is(err, ErrStop) {
					return nil
				} else if err != nil {
					return err
				}
			}
			e = Event{}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			e.ID = string(value)
		case "event":
			e.Name = string(value)
		case "data":
			e.Data = append(e.Data, value...)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return lines.Err()
}
