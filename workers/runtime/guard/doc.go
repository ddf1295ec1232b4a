// Package guard keeps the processes of trials together: it finds all of them, counts what they use, and leaves none behind.
//
// A process belongs to a trial when it is in the process group that the trial began as, when its environment carries the
// trial's [Mark], when a process of the trial is its parent, or when it works in the trial's folder without a terminal. One
// way is easily left by a daemon (setsid, a double fork); all of them at once only on purpose: against code that means harm
// a worker belongs in a container. See docs/security.md.
//
// Processes are read from /proc, so all but the process group needs Linux. Elsewhere a trial is its process group.
package guard
