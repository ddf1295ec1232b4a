// Package state keeps what a deciding service knows: documents over JetStream KV that change by compare-and-set alone, and
// leases that say which process decides.
//
// A Document remembers three things in one write: the value, the facts that are still to be said (its outbox) and the causes it
// has applied. Decide is the only way a service turns a fact into other facts; it may be killed between any two steps and run
// again with the same cause: the effect happens once, the facts are said at least once, under the same ids.
package state
