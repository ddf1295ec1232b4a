// Package search decides which hyperparameters the trials of a candidate get, and which of them wins.
//
// Trials are proposed in generations. The proposals of a generation depend on the declaration, the seed and the results of
// the generations before it, and on nothing else: neither the order in which trials end nor the number of workers changes
// them, so the same seed has the same winner. Only early stopping looks at a running trial, and it compares it with
// generations that are over.
package search
