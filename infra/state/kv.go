package state

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How JetStream lays a bucket out as a stream. Watches and leases need more of it than its KeyValue type gives.

const kvOperation = "KV-Operation"

func streamOf(bucket string) string       { return "KV_" + bucket }
func subjectOf(bucket, key string) string { return "$KV." + bucket + "." + key }
func keyOf(bucket, subject string) string { return strings.TrimPrefix(subject, "$KV."+bucket+".") }

// deleted tells whether a message stands for a key that is gone: deleted, purged, or expired by its time to live.
func deleted(h nats.Header) bool {
	return h.Get(kvOperation) != "" || h.Get(jetstream.MarkerReasonHeader) != ""
}
