// Package events is the vocabulary of Tidemill: what may be said (fact types and their payloads), where it is said
// (every stream, subject and bucket name) and how an identity is derived. Nothing else in Tidemill spells a subject.
//
// A fact is a CloudEvents 1.0 event in structured JSON mode, stored for ever in one ordered ledger, the stream FACTS.
package events
