// Package lifecycle is the one contract for everything long-lived in Tidemill: a Component runs until its context ends, and says
// once that it is ready. A Group starts components after what they need and stops them before it.
//
// A component learns from context.Cause why it has to end: ErrStopped when somebody asked for it, a *Failure when another
// component of the group failed.
package lifecycle
