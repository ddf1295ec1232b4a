// Package bus carries facts. Say puts one into the ledger, the stream FACTS; Handlers hear facts through Watermill's router, one
// at a time and in order per handler; a Ledger reads and follows without acknowledging; Dead keeps what a handler gave up on.
//
// Underneath are a Watermill Publisher and Subscriber over JetStream: durable consumers, message ids, heartbeats while a handler
// runs. They pass Watermill's own suite for such adapters.
package bus
