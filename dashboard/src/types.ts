// The wire types of /api/v1, as services/api and events write them. Times are RFC 3339 strings; Go's zero time means "none".

export type Time = string;
export type Figures = Record<string, number>;

export interface List<T> { items: T[] | null }

export interface ProblemDocument {
  title?: string;
  status: number;
  detail: string;
  hint?: string;
  errors?: { message: string; location?: string; hint?: string }[];
}

export interface Fact {
  id: string;
  type: string;
  source: string;
  subject: string;
  time: Time;
  cycleid?: string;
  causationid?: string;
  causationseq?: string;
  data?: unknown;
}

/** A fact with its sequence in the ledger, which travels as the id of the server-sent event. */
export interface Entry { seq: number; fact: Fact }

export interface Alert {
  id: string;
  kind: string;
  model?: string;
  dataset: string;
  column?: string;
  metric?: string;
  value: number;
  threshold: number;
  message: string;
  ordinal?: number;
  at: Time;
}

export interface Reason {
  rule: string;
  holds: boolean;
  text: string;
  value?: number;
  target?: number;
  children?: Reason[];
}

export interface PolicyEvaluated {
  model: string;
  policy: string;
  cause: string;
  ordinal?: number;
  fired: boolean;
  requested: boolean;
  pending?: boolean;
  cycle?: string;
  now: Time;
  reasons: Reason[] | null;
}

export interface GateResult {
  gate: string;
  metric: string;
  outcome: "pass" | "fail" | "inconclusive" | "skipped";
  value: number;
  champion?: number;
  difference?: number;
  lower?: number;
  upper?: number;
  n: number;
  text: string;
}

export interface Verdict {
  approved: boolean;
  gates: GateResult[] | null;
  metrics: Figures | null;
  championMetrics?: Figures;
  rows: number;
  from: Time;
  to: Time;
  reason: string;
}

export interface Version {
  model: string;
  version: string;
  uri: string;
  sha256: string;
  snapshot: string;
  trainedThrough: Time;
  state: "candidate" | "champion" | "retired" | "rejected" | "refitted";
  cycle: string;
  candidate: string;
  metrics?: Figures;
  trainedAt: Time;
  promotedAt: Time;
  verdict?: Verdict;
}

export type WindowWire = { expanding?: object; sliding?: { duration?: string; rows?: number; segments?: number }; sample?: { rows: number; method?: string } };

export interface Snapshot {
  id: string;
  dataset: string;
  through: number;
  rows: number;
  maxTime: Time;
  watermark: Time;
  window: WindowWire;
}

export interface Trial {
  trial: string;
  candidate: string;
  state: "queued" | "running" | "succeeded" | "stopped" | "failed";
  number?: number;
  refit?: boolean;
  rank?: number;
  winner?: boolean;
  attempt: number;
  worker?: string;
  phase?: string;
  fraction: number;
  message?: string;
  validation?: Figures;
  reported?: Figures;
  reason?: string;
  logTail?: string[];
  seconds?: number;
}

export interface Progress {
  trial: string;
  cycle: string;
  model: string;
  attempt: number;
  phase: string;
  fraction: number;
  message?: string;
  metrics?: Figures;
  log?: string[];
}

export type CycleState = "requested" | "training" | "evaluating" | "rollingOut" | "ended";

export interface Cycle {
  cycle: string;
  number: number;
  model: string;
  policy?: string;
  snapshot: Snapshot;
  champion?: string;
  causes: { trigger: string; text: string; factId?: string }[] | null;
  deadline: Time;
  manual?: boolean;
  state: CycleState;
  trials: Trial[] | null;
  queued?: number;
  version?: string;
  verdict?: Verdict;
  outcome?: string;
  reason?: string;
  began: Time;
  ended: Time;
  eventTime: Time;
  steps: Step[] | null;
}

export interface Step { seq: number; type: string; at: Time; text: string }

export interface Model {
  name: string;
  dataset: string;
  task: string;
  primary: string;
  policy?: string;
  paused: boolean;
  champion?: Version;
  cycle?: Cycle;
  openAlerts: Alert[] | null;
  evaluation?: PolicyEvaluated;
  observed: number;
  cycles: Record<string, number> | null;
  lastCycle?: string;
}

export interface MetricPoint { from: Time; to: Time; rows: number; version: string; metrics: Figures | null }

export interface Why {
  model: string;
  version?: Version;
  text: string;
  chain: { seq: number; id: string; type: string; at: Time; text: string }[] | null;
  cycle?: Cycle;
  policy?: Reason[];
}

export interface WhyNot { model: string; text: string; now: Time; reasons: Reason[] | null }

export interface Dataset {
  name: string;
  revision: number;
  segments: number;
  accepted: number;
  quarantined: number;
  reasons?: Record<string, number>;
  segmentsHeld: number;
  rowsHeld: number;
  watermark: Time;
  waiting: number;
  chain: string;
}

export interface Quarantine {
  dataset: string;
  ordinal: number;
  rows: number;
  reasons: Record<string, number> | null;
  state: "held" | "released" | "dropped";
  at: Time;
}

export interface QuarantinedRow { row: string; reason: string; column?: string; detail: string; sequence: number; offset: number }

export interface Asked { id: string; seq: number }

export interface Rate { accepted: number; quarantined: number }
export interface Rates { at: Time; datasets: Record<string, Rate> | null }

export interface Status { version: string; started: Time; targets: string[] | null; nats: string; rates: Rates }
