// Package guard keeps the processes of trials together: it finds all of them, counts what they use, and leaves none behind.
//
// A process belongs to a trial when it carries the trial's [Mark], which processes hand on to those that they start, as a
// number and in their environment; when it is in the process group that the trial began as; when a process of the trial is
// its parent; or when it works in the trial's folder without a terminal. Daemons leave their group, and forget their parents and
// often their environment; they keep the number. Only root can shed it: against code that means harm a worker belongs in a
// container, and its trials to another user. See docs/security.md.
//
// Processes are read from /proc, so all but the process group needs Linux. Elsewhere a trial is its process group.
package guard
