import type { Fact } from "../types";
import { count, eventTime, metric, metricName, noTime, plural, words } from "./format";

type Data = Record<string, unknown>;

/** "dev.tidemill.model.ready.v1" → "model.ready". */
export function shortType(type: string): string {
  return type.replace(/^dev\.tidemill\./, "").replace(/\.v\d+$/, "");
}

const str = (d: Data, k: string) => (typeof d[k] === "string" ? (d[k] as string) : "");
const num = (d: Data, k: string) => (typeof d[k] === "number" ? (d[k] as number) : 0);
const obj = (d: Data, k: string): Data => (typeof d[k] === "object" && d[k] !== null ? (d[k] as Data) : {});
const by = (d: Data) => (str(d, "by") ? ` by ${str(d, "by")}` : "");
const because = (text: string) => (text ? `: ${text}` : "");

function figures(d: Data, key: string): string {
  return Object.entries(obj(d, key))
    .filter((e): e is [string, number] => typeof e[1] === "number")
    .slice(0, 3)
    .map(([k, v]) => `${metricName(k)} ${metric(v)}`)
    .join(", ");
}

function causes(d: Data): string {
  const all = Array.isArray(d["causes"]) ? (d["causes"] as Data[]) : [];
  return all.map((c) => str(c, "text") || words(str(c, "trigger"))).join("; ");
}

function windowText(w: Data): string {
  const s = obj(w, "sliding");
  if (str(s, "duration")) return `the last ${str(s, "duration")}`;
  if (num(s, "rows")) return `the last ${count(num(s, "rows"))} rows`;
  if (num(s, "segments")) return `the last ${plural(num(s, "segments"), "segment")}`;
  const drawn = obj(w, "sample");
  if (num(drawn, "rows")) return `${count(num(drawn, "rows"))} rows drawn${str(drawn, "method") === "balanced" ? ", as many of each class" : ""}`;
  return "all rows";
}

/** The training window as words: "all rows", "the last 7d". */
export function windowOf(w: object | undefined): string {
  return windowText((w ?? {}) as Data);
}

function written(d: Data): string {
  const refused = num(d, "quarantined");
  return `Segment ${num(d, "ordinal")} of ${str(d, "dataset")} written: ${plural(num(d, "rows"), "row")}${refused ? `, ${count(refused)} refused` : ""}`;
}

function observed(d: Data): string {
  const champion = str(d, "champion");
  const seen = figures(d, "metrics");
  return champion
    ? `Version ${champion} scored segment ${num(d, "ordinal")}${because(seen)}`
    : `Segment ${num(d, "ordinal")} seen; there is no champion yet to score it`;
}

function violation(d: Data): string {
  const first = Array.isArray(d["violations"]) ? (d["violations"] as Data[])[0] : undefined;
  return first ? str(first, "message") : "";
}

function ready(d: Data): string {
  const back = str(d, "reason") === "rolledBack";
  const before = str(d, "previous");
  const seen = figures(d, "metrics");
  return `Version ${str(d, "version")} is ${back ? "champion again" : "the champion"}${before ? `, after version ${before}` : ""}${seen ? ` (${seen})` : ""}`;
}

function verdictReason(d: Data): string {
  return str(obj(d, "verdict"), "reason");
}

function release(verb: string) {
  return (d: Data) => `${plural(num(d, "rows"), "quarantined row")} of ${str(d, "dataset")} ${verb}${by(d)}`;
}

function requested(d: Data): string {
  const rows = num(obj(d, "snapshot"), "rows");
  return `Cycle ${str(d, "cycle")} begins on ${windowText(obj(obj(d, "snapshot"), "window"))} of ${count(rows)}${because(causes(d))}`;
}

function trialFinished(d: Data): string {
  const seen = figures(d, "validation");
  return d["succeeded"] === true
    ? `Training of ${str(d, "candidate")} ended: ${plural(num(d, "trainRows"), "row")}${seen ? `, validation ${seen}` : ""}`
    : `Training of ${str(d, "candidate")} failed${because(str(d, "reason"))}`;
}

const sayings: Record<string, (d: Data) => string> = {
  "resource.applied": (d) => `${str(d, "kind")} ${str(d, "name")} applied, revision ${num(d, "revision")}`,
  "resource.deleted": (d) => `${str(d, "kind")} ${str(d, "name")} deleted`,
  "retrain.asked": (d) =>
    `Retraining asked${by(d)}${d["window"] ? ` on ${windowText(obj(d, "window"))}` : ""}${because(str(d, "reason"))}`,
  "rollback.asked": (d) =>
    `Rollback to ${str(d, "to") ? `version ${str(d, "to")}` : "the previous champion"} asked${by(d)}${because(str(d, "reason"))}`,
  "model.paused": (d) => `Policy paused${by(d)}${because(str(d, "reason"))}`,
  "model.resumed": (d) => `Policy resumed${by(d)}`,
  "quarantine.released": release("released"),
  "quarantine.dropped": release("dropped"),
  "segment.written": written,
  "segment.accepted": (d) =>
    `Segment ${num(d, "ordinal")} accepted: ${plural(num(d, "totalRows"), "row")} in all, watermark ${eventTime(str(d, "watermark"))}`,
  "segment.quarantined": (d) => `Segment ${num(d, "ordinal")} held back${because(violation(d))}`,
  "segment.observed": observed,
  "alert.raised": (d) => `${words(str(d, "kind"))} alert${because(str(d, "message"))}`,
  "alert.resolved": (d) => `${words(str(d, "kind"))} alert resolved${because(str(d, "message"))}`,
  "cycle.requested": requested,
  "cycle.ended": (d) => `Cycle ${str(d, "cycle")} ${str(d, "outcome")}${because(str(d, "reason"))}`,
  "trial.started": (d) =>
    `Training of ${str(d, "candidate")} began on ${str(d, "worker") || "a worker"}${num(d, "attempt") > 1 ? `, attempt ${num(d, "attempt")}` : ""}`,
  "trial.finished": trialFinished,
  "candidate.trained": (d) =>
    `Version ${str(d, "version")} is trained${noTime(str(d, "trainedThrough")) ? "" : ` through ${eventTime(str(d, "trainedThrough"))}`}`,
  "candidate.failed": (d) => `No usable model came out${because(str(d, "reason"))}`,
  "candidate.refitted": (d) =>
    str(obj(d, "refitted"), "version")
      ? `Version ${str(obj(d, "refitted"), "version")} is the recipe of version ${str(obj(d, "judged"), "version")} trained on all rows`
      : `Version ${str(obj(d, "judged"), "version")} could not be trained again on all rows${because(str(d, "reason"))}`,
  "refit.requested": (d) => `Version ${str(d, "version")} passed its gates; its recipe is trained again on all rows${because(verdictReason(d))}`,
  "candidate.approved": (d) => `Version ${str(d, "version")} passed its gates${because(verdictReason(d))}`,
  "candidate.rejected": (d) => `Version ${str(d, "version")} refused${because(verdictReason(d))}`,
  "rollout.started": (d) => `Version ${str(d, "version")} rolls out (${str(d, "strategy")})`,
  "rollout.rolled_back": (d) => `Version ${str(d, "from")} gave way to ${str(d, "to")}${because(str(d, "reason"))}`,
  "model.ready": ready,
  "timer.fired": (d) => `${words(str(d, "kind"))} timer of ${str(d, "owner")} fired`,
};

function capital(s: string): string {
  return s.charAt(0).toUpperCase() + s.slice(1);
}

/** One sentence that says what a fact means, without a full stop. Unknown types say their name. */
export function sentence(f: Fact): string {
  const short = shortType(f.type);
  const data = typeof f.data === "object" && f.data !== null ? (f.data as Data) : {};
  const say = sayings[short];
  return say ? capital(say(data)) : words(short.replace(".", " "));
}

export type Tone = "good" | "warn" | "bad" | "flow" | "plain";

const tones: Record<string, Tone> = {
  "model.ready": "good", "candidate.approved": "good", "alert.resolved": "good",
  "candidate.rejected": "warn", "segment.quarantined": "warn", "alert.raised": "warn", "rollout.rolled_back": "warn", "model.paused": "warn",
  "candidate.failed": "bad",
  "cycle.requested": "flow", "cycle.ended": "flow", "retrain.asked": "flow",
};

/** How much a fact should stand out. */
export function tone(f: Fact): Tone {
  const short = shortType(f.type);
  const d = (f.data ?? {}) as Data;
  if (short === "cycle.ended") return outcomeTone(str(d, "outcome"));
  if (short === "trial.finished" && d["succeeded"] === false) return "bad";
  return tones[short] ?? "plain";
}

export function outcomeTone(outcome: string | undefined): Tone {
  switch (outcome) {
    case "promoted": return "good";
    case "rejected": return "warn";
    case "failed": return "bad";
    case undefined: case "": return "flow";
    default: return "plain";
  }
}
