import type {
  Alert, Asked, Cycle, Dataset, List, MetricPoint, Model, ProblemDocument, Quarantine, QuarantinedRow, Status, Version, Why, WhyNot,
} from "./types";

/** An error of the API as a person can read it: what went wrong and what to do about it. */
export class Problem extends Error {
  readonly status: number;
  readonly hint: string | undefined;
  readonly details: { message: string; location?: string; hint?: string }[];

  constructor(doc: ProblemDocument) {
    super(doc.detail || doc.title || `The server answered ${doc.status}.`);
    this.name = "Problem";
    this.status = doc.status;
    this.hint = doc.hint;
    this.details = doc.errors ?? [];
  }
}

/** Turns whatever was thrown into a Problem. Status 0 means that the server was not reached. */
export function asProblem(e: unknown): Problem {
  if (e instanceof Problem) return e;
  return new Problem({
    status: 0,
    detail: "Tidemill does not answer.",
    hint: "Is `tidemill up` still running? The page tries again by itself.",
  });
}

async function problemOf(r: Response): Promise<Problem> {
  const text = await r.text().catch(() => "");
  try {
    const doc = JSON.parse(text) as Partial<ProblemDocument>;
    if (typeof doc === "object" && doc !== null && (doc.detail || doc.title)) {
      return new Problem({ ...doc, detail: doc.detail ?? "", status: r.status });
    }
  } catch {
    // Not a problem document: a proxy in between, perhaps. Its first line is the best there is.
  }
  const line = text.split("\n", 1)[0]?.trim();
  return new Problem({ status: r.status, detail: line && line.length < 200 ? line : `The server answered ${r.status} ${r.statusText}.` });
}

async function call<T>(path: string, init?: RequestInit): Promise<T> {
  const r = await fetch(path, { credentials: "same-origin", headers: { Accept: "application/json" }, ...init });
  if (!r.ok) throw await problemOf(r);
  return (await r.json()) as T;
}

async function list<T>(path: string): Promise<T[]> {
  return (await call<List<T>>(path)).items ?? [];
}

function post<T>(path: string, body: object = {}): Promise<T> {
  return call<T>(path, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

const v1 = "/api/v1";
const model = (m: string) => `${v1}/models/${encodeURIComponent(m)}`;
const dataset = (d: string) => `${v1}/datasets/${encodeURIComponent(d)}`;

export const api = {
  status: () => call<Status>(`${v1}/status`),
  models: () => list<Model>(`${v1}/models`),
  cycles: (m: string, limit = 200) => list<Cycle>(`${model(m)}/cycles?limit=${limit}`),
  versions: (m: string) => list<Version>(`${model(m)}/versions`),
  metrics: (m: string, bucket: string) => list<MetricPoint>(`${model(m)}/metrics?bucket=${bucket}`),
  why: (m: string, version: string) => call<Why>(`${model(m)}/why?version=${encodeURIComponent(version)}`),
  whyNot: (m: string) => call<WhyNot>(`${model(m)}/why-not`),
  retrain: (m: string, body: { window?: string; reason?: string }) => post<Asked>(`${model(m)}/retrain`, body),
  rollback: (m: string, body: { to?: string; reason?: string }) => post<Asked>(`${model(m)}/rollback`, body),
  pause: (m: string) => post<Asked>(`${model(m)}/pause`),
  resume: (m: string) => post<Asked>(`${model(m)}/resume`),
  datasets: () => list<Dataset>(`${v1}/datasets`),
  quarantine: (d: string) => list<Quarantine>(`${dataset(d)}/quarantine`),
  quarantinedRows: (d: string, ordinal: number, limit = 20) =>
    list<QuarantinedRow>(`${dataset(d)}/quarantine/${ordinal}/rows?limit=${limit}`),
  decide: (d: string, ordinal: number, what: "release" | "drop") => post<Asked>(`${dataset(d)}/quarantine/${ordinal}/${what}`),
  alerts: () => list<Alert & { open: boolean }>(`${v1}/alerts?open=true`),
};

/** Signs in with the admin token; the server answers with the session cookie. */
export async function signIn(token: string): Promise<void> {
  const r = await fetch("/login", { method: "POST", credentials: "same-origin", body: new URLSearchParams({ token }) });
  if (!r.ok) throw await problemOf(r);
}
