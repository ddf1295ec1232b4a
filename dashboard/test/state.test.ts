import { describe, expect, it } from "vitest";
import { addFacts, choices, filterFacts } from "../src/state/facts";
import { addProgress, liveTrials } from "../src/state/progress";
import { addRates, latest } from "../src/state/rates";
import { keys, matches, touched } from "../src/state/touch";
import { answerTo } from "../src/state/wish";
import type { Cycle, Entry, PolicyEvaluated, Progress } from "../src/types";

function entry(seq: number, short: string, subject = "m", data: unknown = {}): Entry {
  return { seq, fact: { id: String(seq), type: `dev.tidemill.${short}.v1`, source: "/x", subject, time: "2026-01-01T00:00:00Z", data } };
}

describe("facts", () => {
  it("keeps the newest first, once each, and not too many", () => {
    const a = addFacts([], [entry(1, "model.ready"), entry(3, "model.ready")]);
    const b = addFacts(a, [entry(2, "model.ready"), entry(3, "model.ready")], 2);
    expect(b.map((e) => e.seq)).toEqual([3, 2]);
    expect(addFacts(a, [entry(1, "model.ready")])).toBe(a);
  });
  it("filters by noun, type, subject and the model inside", () => {
    const all = [entry(1, "segment.written", "flights"), entry(2, "segment.observed", "m"), entry(3, "timer.fired", "x", { model: "m" })];
    expect(filterFacts(all, { type: "segment", name: "" })).toHaveLength(2);
    expect(filterFacts(all, { type: "segment.written", name: "" })).toHaveLength(1);
    expect(filterFacts(all, { type: "", name: "m" }).map((e) => e.seq)).toEqual([2, 3]);
    expect(choices(all)).toEqual({ types: ["segment", "timer"], names: ["flights", "m", "x"] });
  });
});

describe("rates", () => {
  it("gives every dataset the same length of time", () => {
    let h = addRates({}, { at: "", datasets: { a: { accepted: 5, quarantined: 1 } } });
    h = addRates(h, { at: "", datasets: { b: { accepted: 2, quarantined: 0 } } });
    expect(h["a"]!.map((r) => r.accepted)).toEqual([5, 0]);
    expect(latest(h)).toEqual({ accepted: 2, quarantined: 0 });
    for (let i = 0; i < 9; i++) h = addRates(h, { at: "", datasets: null }, 3);
    expect(h["a"]).toHaveLength(3);
  });
});

describe("progress", () => {
  const p = (attempt: number, fraction: number, trial = "c-1-logistic-1"): Progress => ({ trial, cycle: "c-1", model: "c", attempt, phase: "training", fraction });
  const cycle = (trials: Cycle["trials"]) => ({ cycle: "c-1", trials }) as Cycle;
  it("never goes back to an older attempt", () => {
    const all = addProgress(addProgress({}, p(2, 0.1)), p(1, 0.9));
    expect(all["c-1-logistic-1"]!.attempt).toBe(2);
  });
  it("adds what was heard to what was fetched, but not after the end", () => {
    const heard = addProgress({}, p(1, 0.5));
    const t = { trial: "c-1-logistic-1", candidate: "logistic", state: "running" as const, attempt: 1, fraction: 0 };
    expect(liveTrials(cycle([t]), heard)[0]!.fraction).toBe(0.5);
    expect(liveTrials(cycle([{ ...t, state: "failed" }]), heard)[0]!.state).toBe("failed");
    expect(liveTrials(cycle(null), heard)[0]!.candidate).toBe("logistic");
    expect(liveTrials({ cycle: "c-2", trials: [] } as unknown as Cycle, heard)).toEqual([]);
  });
  it("forgets the oldest trials", () => {
    let all = {};
    for (let i = 0; i < 5; i++) all = addProgress(all, p(1, 0, `t${i}`), 3);
    expect(Object.keys(all)).toEqual(["t2", "t3", "t4"]);
  });
});

describe("touched", () => {
  const keysOf = (short: string, subject = "m") => touched(entry(1, short, subject).fact);
  it("refetches what a fact changes and no more", () => {
    expect(keysOf("segment.written", "flights")).toEqual([keys.datasets, keys.quarantine("flights")]);
    expect(keysOf("segment.observed")).toContain("metrics/m/");
    expect(keysOf("model.ready")).toEqual(expect.arrayContaining([keys.models, keys.versions("m"), keys.cycles("m")]));
    expect(keysOf("timer.fired")).toEqual([]);
  });
  it("matches whole keys and families", () => {
    expect(matches(keys.metrics("m", "7d"), "metrics/m/")).toBe(true);
    expect(matches(keys.metrics("m2", "7d"), "metrics/m/")).toBe(false);
    expect(matches("models", "models")).toBe(true);
  });
});

describe("answerTo", () => {
  const refusal = { cause: "retrain.asked", requested: false, fired: true } as PolicyEvaluated;
  it("waits, then names the cycle", () => {
    expect(answerTo("retrain", 10, "m", []).done).toBe(false);
    const facts = [entry(12, "cycle.requested", "m", { cycle: "m-7", manual: true }), entry(4, "cycle.requested", "m", { cycle: "m-6", manual: true })];
    expect(answerTo("retrain", 10, "m", facts)).toMatchObject({ done: true, good: true, text: "Cycle m-7 has begun." });
  });
  it("doesn't take a cycle of the policy or of another model for its own", () => {
    expect(answerTo("retrain", 10, "m", [entry(12, "cycle.requested", "m", { cycle: "m-7" })]).done).toBe(false);
    expect(answerTo("retrain", 10, "m", [entry(12, "cycle.requested", "n", { cycle: "n-7", manual: true })]).done).toBe(false);
  });
  it("says that the policy refused or keeps the wish", () => {
    expect(answerTo("retrain", 10, "m", [], refusal)).toMatchObject({ done: true, good: false });
    expect(answerTo("retrain", 10, "m", [], { ...refusal, pending: true }).text).toContain("begins when it ends");
    expect(answerTo("retrain", 10, "m", [], { ...refusal, cause: "segment.observed" }).done).toBe(false);
  });
  it("needs a model.ready that is a rollback", () => {
    expect(answerTo("rollback", 1, "m", [entry(2, "model.ready", "m", { version: "9", reason: "promoted" })]).done).toBe(false);
    expect(answerTo("rollback", 1, "m", [entry(2, "model.ready", "m", { version: "3", reason: "rolledBack" })]).text).toBe("Version 3 is champion again.");
  });
});
