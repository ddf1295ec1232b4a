import type { Entry, PolicyEvaluated } from "../types";
import { shortType } from "../words/sentence";

export type WishKind = "retrain" | "rollback" | "pause" | "resume";

/** What has come of a wish so far. */
export interface Answer { done: boolean; good: boolean; text: string }

const answers: Record<WishKind, string[]> = {
  retrain: ["cycle.requested"], rollback: ["model.ready", "rollout.rolled_back"], pause: ["model.paused"], resume: ["model.resumed"],
};

/**
 * Reads from the facts after a wish (its sequence is `seq`) what came of it. A retraining that the policy refuses leaves no
 * fact in the ledger; then `evaluation` says why: the model's last one, given only when it is newer than the wish.
 */
export function answerTo(
  kind: WishKind, seq: number, model: string, facts: readonly Entry[], evaluation?: PolicyEvaluated,
): Answer {
  const found = facts.find(
    (e) => e.seq >= seq && e.fact.subject === model && answers[kind].includes(shortType(e.fact.type)) && fits(kind, e),
  );
  if (found) return { done: true, good: true, text: saysDone(kind, found) };
  if (kind === "retrain" && evaluation?.cause === "retrain.asked" && !evaluation.requested) {
    return evaluation.pending
      ? { done: false, good: true, text: "A cycle is running; yours begins when it ends." }
      : { done: true, good: false, text: "The policy didn't let it begin; see what it waits for below." };
  }
  return { done: false, good: true, text: waiting[kind] };
}

const waiting: Record<WishKind, string> = {
  retrain: "Asked for a cycle; waiting for the policy.",
  rollback: "Asked for a rollback; waiting for deployment.",
  pause: "Asked to pause.",
  resume: "Asked to resume.",
};

function fits(kind: WishKind, e: Entry): boolean {
  const d = (e.fact.data ?? {}) as { manual?: boolean; reason?: string };
  if (kind === "retrain") return d.manual === true;
  return kind !== "rollback" || shortType(e.fact.type) !== "model.ready" || d.reason === "rolledBack";
}

function saysDone(kind: WishKind, e: Entry): string {
  const d = (e.fact.data ?? {}) as { cycle?: string; version?: string; to?: string };
  switch (kind) {
    case "retrain": return `Cycle ${d.cycle ?? ""} has begun.`;
    case "rollback": return `Version ${d.version ?? d.to ?? ""} is champion again.`;
    case "pause": return "The policy is paused.";
    case "resume": return "The policy decides again.";
  }
}
