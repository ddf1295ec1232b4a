package events

import (
	"encoding/json"
	"fmt"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

// Content types of a message on rows.<dataset>. Without a content type a message is one JSON object.
const (
	ContentJSON    = "application/json"               // one row
	ContentNDJSON  = "application/x-ndjson"           // one row a line
	ContentCSV     = "text/csv"                       // files only
	ContentParquet = "application/vnd.apache.parquet" // files only
	HeaderContent  = "Content-Type"                   // of every message
	HeaderReplay   = "Tidemill-Replay-For"            // the one handler a replayed fact is for
	rowsFileType   = "dev.tidemill.rows.file.v1"      // a file that takes its place among the rows
)

// RowsFile is the message by which a file takes its place among the rows of a dataset: its bytes are in blob storage.
type RowsFile struct {
	Batch   string `json:"batch"`             // identity of the file; the same batch published twice is one
	Name    string `json:"name"`              // what the user called it
	Format  string `json:"format"`            // parquet, csv, ndjson, or quarantine for a release
	File    Blob   `json:"file"`              // where its bytes are
	Rows    int64  `json:"rows"`              // rows in it, or -1 when that is not known without reading it
	Release uint64 `json:"release,omitempty"` // the ordinal whose refused rows come back in because a person let them
}

// EncodeRowsFile writes the CloudEvent (structured mode) with its dataref.
func EncodeRowsFile(dataset string, at time.Time, f RowsFile) ([]byte, error) {
	e := cloudevents.New(cloudevents.CloudEventsVersionV1)
	e.SetID(f.Batch)
	e.SetType(rowsFileType)
	e.SetSource("/tidemill/gateway")
	e.SetSubject(dataset)
	e.SetTime(at.UTC())
	e.SetExtension("dataref", f.File.Key)
	if err := e.SetData(ContentJSON, f); err != nil {
		return nil, fmt.Errorf("encode rows file %s: %w", f.Batch, err)
	}
	return json.Marshal(e)
}

// DecodeRowsFile reads a CloudEvent in structured mode. ok is false when it is an ordinary CloudEvent, whose data is one row.
func DecodeRowsFile(b []byte) (f RowsFile, row json.RawMessage, ok bool, err error) {
	var e cloudevents.Event
	if err := json.Unmarshal(b, &e); err != nil {
		return f, nil, false, fmt.Errorf("not a CloudEvent: %w", err)
	}
	if e.Type() != rowsFileType {
		return f, e.Data(), false, nil
	}
	if err := json.Unmarshal(e.Data(), &f); err != nil {
		return f, nil, true, fmt.Errorf("rows file event %s: %w", e.ID(), err)
	}
	return f, nil, true, nil
}

// LeaseKey is the key of the lease under which a service decides about a name. Today one holder decides about all names of
// a service; shards of names would change this function alone.
func LeaseKey(service, _ string) string { return service }
