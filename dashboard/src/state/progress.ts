import type { Cycle, Progress, Trial } from "../types";

export type ProgressByTrial = Record<string, Progress>;

/** Keeps the newest progress of each trial of the newest cycles; an older attempt never replaces a newer one. */
export function addProgress(all: ProgressByTrial, p: Progress, limit = 50): ProgressByTrial {
  const had = all[p.trial];
  if (had && had.attempt > p.attempt) return all;
  const { [p.trial]: _, ...rest } = all;
  const entries = Object.entries(rest);
  return Object.fromEntries([...entries.slice(Math.max(0, entries.length + 1 - limit)), [p.trial, p]]);
}

/** The trials of a cycle with what has been heard of them since it was fetched. */
export function liveTrials(c: Cycle, heard: ProgressByTrial): Trial[] {
  const trials = (c.trials ?? []).map((t) => merge(t, heard[t.trial]));
  const known = new Set(trials.map((t) => t.trial));
  for (const p of Object.values(heard)) {
    if (p.cycle !== c.cycle || known.has(p.trial)) continue;
    trials.push(merge({ trial: p.trial, candidate: candidateOf(p), state: "running", attempt: p.attempt, fraction: 0 }, p));
  }
  return trials;
}

function merge(t: Trial, p: Progress | undefined): Trial {
  if (!p || p.attempt < t.attempt || ["succeeded", "stopped", "failed"].includes(t.state)) return t;
  const out: Trial = { ...t, state: "running", attempt: p.attempt, phase: p.phase, fraction: p.fraction };
  if (p.message) out.message = p.message;
  if (p.metrics) out.reported = { ...t.reported, ...p.metrics };
  if (p.log?.length) out.logTail = [...(t.logTail ?? []), ...p.log].slice(-20);
  return out;
}

/** Trials are named "<cycle>-<candidate>-<n>". */
function candidateOf(p: Progress): string {
  return p.trial.startsWith(`${p.cycle}-`) ? p.trial.slice(p.cycle.length + 1).replace(/-(\d+|refit)$/, "") : p.trial;
}
