package events

import (
	"crypto/sha256"
	"encoding/hex"
)

// NextChain identifies all accepted segments up to one: the SHA-256, in lower-case hex, of the chain before it ("" for
// the first segment) and that segment's Parquet hash, joined by a line feed.
func NextChain(prev, sha256Hex string) string { return hashLines(prev, sha256Hex) }

// SnapshotID names what a cycle trains on: the SHA-256, in lower-case hex, of the chain of its newest segment and the
// window as Window.String writes it, joined by a line feed. The same segments in the same order with the same window have
// the same id, whatever path the rows took.
func SnapshotID(chain string, w Window) string { return hashLines(chain, w.String()) }

// hashLines joins by a byte that neither hex digests nor windows contain, so that no two pairs collide by shifting.
func hashLines(a, b string) string {
	sum := sha256.Sum256([]byte(a + "\n" + b))
	return hex.EncodeToString(sum[:])
}

// SHA256 is the digest of b as everything in Tidemill writes it: lower-case hex.
func SHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
