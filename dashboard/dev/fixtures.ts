// What the mock server answers: a model after some months, in the types of the API.
import type {
  Alert, Cycle, Dataset, Entry, GateResult, MetricPoint, Model, PolicyEvaluated, Quarantine, QuarantinedRow, Reason, Snapshot, Verdict, Version, Why, WhyNot,
} from "../src/types";

const day = 86_400_000;
const from = Date.UTC(2001, 0, 1);
const iso = (ms: number) => new Date(ms).toISOString();
export const zero = "0001-01-01T00:00:00Z";
const hex = (n: number) => Array.from({ length: 64 }, (_, i) => ((n * 31 + i * 7 + (i * i * n) % 13) % 16).toString(16)).join("");
const wave = (i: number) => Math.sin(i * 1.7) * 0.5 + Math.sin(i * 0.31) * 0.5;

function gate(n: number, versus: boolean, ok: boolean): GateResult {
  if (!versus) {
    return { gate: "auc ≥ 0.6", metric: "auc", outcome: "pass", value: 0.641, n, text: "AUC 0.641 is at least 0.600." };
  }
  const d = ok ? -0.0031 : 0.0124;
  return {
    gate: "logloss versus champion", metric: "logloss", outcome: ok ? "pass" : "fail", value: 0.489 + d, champion: 0.489, difference: d,
    lower: d - 0.0018, upper: d + 0.0019, n,
    text: ok
      ? "Not worse than the champion: logloss differs by −0.003, at most −0.001 with 95% confidence; 0.002 would be allowed."
      : "Worse than the champion: logloss is 0.012 higher on the same 5,118 rows, at least 0.011 with 95% confidence; 0.002 would be allowed.",
  };
}

function verdict(i: number, ok: boolean): Verdict {
  const at = from + (28 + i * 12) * day;
  return {
    approved: ok, gates: i === 0 ? [gate(5118, false, true)] : [gate(5118, false, true), gate(5118, true, ok)],
    metrics: { logloss: ok ? 0.486 : 0.501, auc: ok ? 0.641 : 0.617, normalizedEntropy: 0.948, averagePrecision: 0.312, brier: 0.152, ece: 0.018, accuracy: 0.803, f1: 0.21 },
    championMetrics: { logloss: 0.489, auc: 0.636 }, rows: 5118, from: iso(at - 7 * day), to: iso(at),
    reason: ok ? "Both gates passed." : "Refused: logloss is 0.012 worse than the champion's on the same rows.",
  };
}

function snapshot(i: number, days?: number): Snapshot {
  const at = from + (28 + i * 12) * day;
  return {
    id: hex(i + 3), dataset: "flights", through: 21 + i * 9, rows: 43_918 + i * 19_200, maxTime: iso(at), watermark: iso(at),
    window: days ? { sliding: { duration: `${days}d` } } : { expanding: {} },
  };
}

const outcomes = ["promoted", "promoted", "rejected", "promoted", "failed", "promoted", "rejected", "promoted"];
const causes = [
  { trigger: "initial", text: "43,918 rows are there; the first model needs 43,000" },
  { trigger: "newData", text: "26% new rows since version 1 (11,420 of 43,918)" },
  { trigger: "manual", text: "asked by admin" },
  { trigger: "performance", text: "normalized entropy 3.4% worse than at promotion over 7d" },
];

function reasonOf(o: string): string {
  if (o === "promoted") return "Version passed its gates and is champion.";
  return o === "rejected" ? "Refused: logloss is 0.012 worse than the champion's on the same rows." : "The trainer left no model.onnx: exit status 1, out of memory.";
}

function cycle(i: number, now: number): Cycle {
  const o = outcomes[i]!;
  const began = now - (outcomes.length - i) * 11 * 60_000;
  const id = `flight-delay-${i + 1}`;
  const cause = i === 0 ? causes[0]! : o === "rejected" ? causes[2]! : i % 3 === 1 ? causes[1]! : causes[3]!;
  return {
    cycle: id, number: i + 1, model: "flight-delay", policy: "flight-delay", snapshot: snapshot(i, o === "rejected" ? 7 : undefined),
    champion: i ? String(i) : "", causes: [cause], deadline: iso(began + 3_600_000), manual: o === "rejected", state: "ended",
    trials: [{
      trial: `${id}-logistic-1`, candidate: "logistic", state: o === "failed" ? "failed" : "succeeded", attempt: 1, fraction: 1, seconds: 3.1,
      ...(o === "failed" ? { reason: reasonOf(o) } : { validation: { logloss: 0.49, auc: 0.64 } }),
    }],
    ...(o === "failed" ? {} : { version: String(i + 1), verdict: verdict(i, o === "promoted") }),
    outcome: o, reason: reasonOf(o), began: iso(began), ended: iso(began + 7_400), eventTime: snapshot(i).watermark,
    steps: [
      { seq: 40 + i * 50, type: "cycle.requested", at: iso(began), text: `Requested: ${cause.text}` },
      { seq: 41 + i * 50, type: "trial.started", at: iso(began + 100), text: "local-1 took the trial logistic" },
      { seq: 44 + i * 50, type: "trial.finished", at: iso(began + 4_000), text: "Trained on 38,210 rows" },
      { seq: 49 + i * 50, type: "cycle.ended", at: iso(began + 7_400), text: `${o}: ${reasonOf(o)}` },
    ],
  };
}

export function cycles(now: number): Cycle[] {
  return outcomes.map((_, i) => cycle(i, now)).reverse();
}

export function running(now: number, n: number): Cycle {
  const c = cycle(7, now);
  const id = `flight-delay-${n}`;
  return {
    ...c, cycle: id, number: n, state: "training", causes: [causes[3]!], began: iso(now), ended: zero, eventTime: iso(from + 130 * day), manual: false,
    trials: [{ trial: `${id}-logistic-1`, candidate: "logistic", state: "running", attempt: 1, worker: "local-1", phase: "preparing", fraction: 0, message: "" }],
    steps: [], version: "", verdict: undefined as never, outcome: "", reason: "",
  };
}

export function version(i: number, now: number): Version {
  const o = outcomes[i]!;
  return {
    model: "flight-delay", version: String(i + 1), uri: `models/flight-delay/${i + 1}`, sha256: hex(i + 20), snapshot: hex(i + 3),
    trainedThrough: iso(from + (28 + i * 12) * day - 1_260_000), state: i === 7 ? "champion" : o === "promoted" ? "retired" : "rejected",
    cycle: `flight-delay-${i + 1}`, candidate: "logistic", metrics: verdict(i, o === "promoted").metrics!,
    trainedAt: iso(now - (8 - i) * 660_000), promotedAt: o === "promoted" ? iso(now - (8 - i) * 660_000 + 7_000) : zero, verdict: verdict(i, o === "promoted"),
  };
}

export function versions(now: number): Version[] {
  return [7, 6, 5, 3, 2, 1, 0].map((i) => version(i, now));
}

export const alerts: (Alert & { open: boolean })[] = [{
  id: "a1", kind: "performance", model: "flight-delay", dataset: "flights", metric: "normalizedEntropy", value: 0.979, threshold: 0.976,
  message: "Normalized entropy over the last 7d is 3.4% worse than when version 8 was promoted (0.979 against 0.947).", ordinal: 96, at: iso(from + 129 * day), open: true,
}];

export const reasons: Reason[] = [
  {
    rule: "any", holds: true, text: "one of four triggers is enough", children: [
      { rule: "newData", holds: false, text: "14% new rows since version 8 (13,108 of 91,300); it fires at 25%", value: 0.14, target: 0.25 },
      { rule: "performance", holds: true, text: "normalized entropy is 3.4% worse than at promotion; it fires at 3%", value: 0.034, target: 0.03 },
      { rule: "drift", holds: false, text: "no column of distance, origin, destination drifts" },
      { rule: "maxAge", holds: false, text: "version 8 is 18d old; it fires at 28d", value: 18, target: 28 },
    ],
  },
  { rule: "cooldown", holds: false, text: "the last cycle was requested 9h ago; 24h must pass", value: 9, target: 24 },
  { rule: "maxConcurrent", holds: true, text: "no cycle is running" },
  { rule: "budget", holds: true, text: "8 of 40 cycles used in 24h", value: 8, target: 40 },
];

export const evaluation: PolicyEvaluated = {
  model: "flight-delay", policy: "flight-delay", cause: "segment.observed", ordinal: 96, fired: true, requested: false, now: iso(from + 130 * day), reasons,
};

export const whyNot: WhyNot = {
  model: "flight-delay", now: iso(from + 130 * day), reasons,
  text: "The performance trigger fired, but the cooldown holds the cycle back: the last one was requested 9h ago, and 24h must pass.",
};

export function models(now: number, flight: Cycle | undefined): Model[] {
  const base: Model = {
    name: "flight-delay", dataset: "flights", task: "binaryClassification", primary: "logloss", policy: "flight-delay", paused: false,
    champion: version(7, now), openAlerts: alerts, evaluation, observed: 96, cycles: { requested: 8, promoted: 5, rejected: 2, failed: 1 }, lastCycle: "flight-delay-8",
    ...(flight ? { cycle: flight } : {}),
  };
  const young: Model = {
    name: "arrival-minutes", dataset: "flights", task: "regression", primary: "mae", paused: true, openAlerts: [], observed: 96, cycles: {},
  };
  return [base, young];
}

export function metrics(bucketDays: number): MetricPoint[] {
  const out: MetricPoint[] = [];
  for (let at = 28; at < 130; at += bucketDays) {
    const i = at / 7;
    const noise = bucketDays === 1 ? wave(at * 2.3) * 0.02 : 0;
    const logloss = 0.492 + wave(i) * 0.028 + noise;
    out.push({
      from: iso(from + at * day), to: iso(from + (at + bucketDays) * day), rows: 1630 * bucketDays, version: String(1 + Math.floor((at - 28) / 13)),
      metrics: { logloss, auc: 0.638 - wave(i + 2) * 0.02 - noise, normalizedEntropy: 0.955 + wave(i * 0.8) * 0.02, brier: 0.154 + wave(i) * 0.01, ece: 0.021 },
    });
  }
  return out;
}

export function why(now: number): Why {
  return {
    model: "flight-delay", version: version(7, now), cycle: cycle(7, now), policy: reasons,
    text: "Version 8 is champion because it passed both gates: on 5,118 held-out rows its logloss is 0.003 lower than version 6's. It was trained since normalized entropy had become 3.4% worse than at promotion.",
    chain: [
      { seq: 399, id: "1", type: "model.ready", at: iso(now - 650_000), text: "Version 8 became champion, after version 6" },
      { seq: 396, id: "2", type: "candidate.approved", at: iso(now - 651_000), text: "Version 8 passed its gates" },
      { seq: 391, id: "3", type: "cycle.requested", at: iso(now - 660_000), text: "Cycle flight-delay-8 began: normalized entropy 3.4% worse than at promotion over 7d" },
      { seq: 390, id: "4", type: "segment.observed", at: iso(now - 660_100), text: "Version 6 scored segment 84" },
      { seq: 388, id: "5", type: "segment.accepted", at: iso(now - 660_900), text: "Segment 84 accepted, 2,000 rows" },
    ],
  };
}

export const datasets: Dataset[] = [{
  name: "flights", revision: 1, segments: 96, accepted: 189_414, quarantined: 271, reasons: { range: 198, type: 41, future: 19, missing: 13 },
  segmentsHeld: 1, rowsHeld: 2000, watermark: iso(from + 130 * day), waiting: 3, chain: hex(9),
}];

export function quarantine(now: number): Quarantine[] {
  return [95, 92, 81, 60].map((ordinal, i) => ({
    dataset: "flights", ordinal, rows: 3 + i * 17, reasons: i % 2 ? { range: 12, type: 5 + i } : { range: 3 + i }, state: i === 3 ? "dropped" : "held", at: iso(now - i * 400_000),
  }));
}

export const refused: QuarantinedRow[] = [
  { row: '{"date":"2001-05-09T07:40:00Z","delay":1911,"distance":1846,"origin":"SEA","destination":"ORD"}', reason: "range", column: "delay", detail: "delay is 1911, above 1440", sequence: 81_220, offset: 0 },
  { row: '{"date":"2001-05-09T07:42:00Z","delay":"late","distance":220}', reason: "type", column: "delay", detail: 'delay is "late", not a number', sequence: 81_221, offset: 0 },
];

const type = (short: string) => `dev.tidemill.${short}.v1`;

export function fact(seq: number, now: number, short: string, subject: string, data: object): Entry {
  return { seq, fact: { id: hex(seq).slice(0, 32), type: type(short), source: "/tidemill/mock", subject, time: iso(now), data } };
}

/** The facts that the next segment causes. */
export function segmentFacts(seq: number, now: number, ordinal: number): Entry[] {
  const seg = { dataset: "flights", ordinal, rows: 1994 };
  const mark = iso(from + (130 + (ordinal - 96) * 0.4) * day);
  return [
    fact(seq, now, "segment.written", "flights", { ...seg, quarantined: ordinal % 3 ? 0 : 6 }),
    fact(seq + 1, now, "segment.accepted", "flights", { ...seg, totalRows: 189_414 + (ordinal - 96) * 1994, watermark: mark }),
    fact(seq + 2, now, "segment.observed", "flight-delay", { model: "flight-delay", dataset: "flights", ordinal, champion: "8", metrics: { logloss: 0.491, auc: 0.634 } }),
  ];
}

export function history(now: number): Entry[] {
  const out: Entry[] = [fact(1, now - 9e6, "resource.applied", "flights", { kind: "Dataset", name: "flights", revision: 1 })];
  for (let i = 70; i <= 96; i++) out.push(...segmentFacts(280 + (i - 70) * 4, now - (97 - i) * 40_000, i));
  const v = { model: "flight-delay", version: "8" };
  out.push(
    fact(391, now - 21_000, "cycle.requested", "flight-delay", { cycle: "flight-delay-8", causes: [causes[3]], snapshot: snapshot(7) }),
    fact(392, now - 20_800, "trial.started", "flight-delay", { candidate: "logistic", worker: "local-1", attempt: 1 }),
    fact(394, now - 17_000, "trial.finished", "flight-delay", { candidate: "logistic", succeeded: true, trainRows: 151_204, validation: { logloss: 0.488 } }),
    fact(396, now - 15_000, "candidate.approved", "flight-delay", { ...v, verdict: verdict(7, true) }),
    fact(398, now - 14_000, "model.ready", "flight-delay", { ...v, previous: "6", reason: "promoted", metrics: { logloss: 0.486, auc: 0.641 } }),
    fact(399, now - 13_900, "cycle.ended", "flight-delay", { cycle: "flight-delay-8", outcome: "promoted", reason: reasonOf("promoted") }),
    fact(400, now - 6_000, "alert.raised", "flight-delay", alerts[0]!),
  );
  return out;
}
