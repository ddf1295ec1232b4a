import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Fact } from "../src/types";
import { outcomeTone, sentence, shortType, tone } from "../src/words/sentence";

function fact(short: string, data: unknown = {}): Fact {
  return { id: "1", type: `dev.tidemill.${short}.v1`, source: "/x", subject: "flight-delay", time: "2026-01-01T00:00:00Z", data };
}

describe("sentence", () => {
  it.each<[string, object, string]>([
    ["model.ready", { version: "4", previous: "3", reason: "promoted", metrics: { logloss: 0.4851 } }, "Version 4 is the champion, after version 3 (logloss 0.485)"],
    ["model.ready", { version: "3", previous: "4", reason: "rolledBack" }, "Version 3 is champion again, after version 4"],
    ["segment.written", { dataset: "flights", ordinal: 7, rows: 2000, quarantined: 3 }, "Segment 7 of flights written: 2,000 rows, 3 refused"],
    ["segment.observed", { ordinal: 2 }, "Segment 2 seen; there is no champion yet to score it"],
    ["cycle.ended", { cycle: "m-2", outcome: "rejected", reason: "worse" }, "Cycle m-2 rejected: worse"],
    ["retrain.asked", { by: "admin", window: { sliding: { duration: "7d" } } }, "Retraining asked by admin on the last 7d"],
    ["retrain.asked", { by: "admin", window: { sample: { rows: 5000, method: "balanced" } } }, "Retraining asked by admin on 5,000 rows drawn, as many of each class"],
    ["alert.raised", { kind: "drift", message: "distance moved" }, "Drift alert: distance moved"],
    ["trial.finished", { candidate: "logistic", succeeded: false, reason: "exit 1" }, "Training of logistic failed: exit 1"],
  ])("%s", (short, data, want) => expect(sentence(fact(short, data))).toBe(want));

  it("has a saying for every type of the vocabulary that reaches the page", () => {
    const go = readFileSync(fileURLToPath(new URL("../../events/types.go", import.meta.url)), "utf8");
    const types = [...go.matchAll(/Type = "(dev\.tidemill\.[a-z_.]+\.v1)"/g)].map((m) => m[1]!);
    expect(types.length).toBeGreaterThan(20);
    const elsewhere = new Set(["policy.evaluated", "trial.progressed"]); // in streams of their own
    for (const t of types.filter((x) => !elsewhere.has(shortType(x)))) {
      expect(sentence({ ...fact("x"), type: t }), t).not.toBe(shortType(t).replace(/[._]/g, " "));
    }
  });

  it("survives payloads it doesn't know", () => {
    expect(sentence(fact("moon.rose"))).toBe("moon rose");
    expect(sentence(fact("model.ready", null))).toContain("Version");
    expect(sentence(fact("cycle.requested", { snapshot: 3, causes: "x" }))).toContain("begins on all rows");
  });
});

describe("tone", () => {
  it("follows the outcome", () => {
    expect(tone(fact("cycle.ended", { outcome: "failed" }))).toBe("bad");
    expect(tone(fact("cycle.ended", { outcome: "promoted" }))).toBe("good");
    expect(tone(fact("trial.finished", { succeeded: false }))).toBe("bad");
    expect(tone(fact("segment.written"))).toBe("plain");
    expect(outcomeTone("")).toBe("flow");
  });
});
