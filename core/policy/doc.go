// Package policy decides when a model is retrained and how each cycle ends. It is pure: Evaluate folds one observation into
// the state of one model and says what follows from it; the same observations at the same times give the same decisions, so
// a backtest over stored history decides as the live system did.
//
// # Clocks
//
// now is wall time and always an argument. Event time is the dataset's watermark, taken from the newest segment. A policy's
// maxAge and cooldown run on its own clock (event by default); schedules, budgets and deadlines run on the wall and enter
// as TimerFired; Timers says when the next ones are due.
//
// # Triggers
//
//   - initial is the only trigger while there is no champion. A policy without it falls back to its when-tree, counted
//     from nothing; fraction, maxAge, performance and drift can't hold then.
//   - newData counts from the champion's snapshot, maxAge from that snapshot's watermark (on the wall: from its promotion).
//   - schedule comes due by a timer and stays due until a cycle is requested. Missed times collapse into one.
//   - performance and drift hold while an alert about the present champion is open.
//   - change holds while the declared code, features or params are not those that the champion was made by.
//   - While a cycle with the policy's window runs, triggers count from that cycle's snapshot: what it already serves is
//     not asked for twice.
//
// A trigger that fired and is held by a guardrail isn't remembered: it is looked at again with every observation, so it
// is neither lost nor served after it stopped being true. Schedules, which are moments, are remembered.
//
// # Guardrails
//
// Automatic cycles need a model and data, something new to learn, no pause, mode auto, no other cycle running, cooldowns and
// budget, and news since the last refusal. After a rejected candidate (or a rollback, which refuses the version it takes
// away) that means onRejected.until.newRows; without it, 10 % more rows than the refused snapshot had, or a schedule that
// came due and any new row. A changed model lifts it: another recipe isn't the same refusal. After a failed cycle it means
// another snapshot or a changed model. A candidate of a window that a person chose never holds the policy's own cycles.
//
// A person's wish passes over triggers, mode, pause, cooldown and the memory of refusals. It waits for the running cycle
// and for the budget (which protects the machine, whoever asks), and is refused when the champion has just this snapshot,
// window and recipe. Wishes merge: both causes are kept, and the last window and the last imported model that were given. An
// import trains nothing: like a window of a person's own, its cycle doesn't serve the policy.
//
// # Cycles
//
// At most one cycle runs per model, and one wish waits. A cycle ends exactly once, by whichever comes first: model.ready
// of it (promoted), candidate.rejected, candidate.failed, its deadline (failed), the end of its model or dataset
// (cancelled), or another champion or dataset in its place (superseded). Later facts about it end nothing; a version that
// is promoted late still becomes champion.
package policy
