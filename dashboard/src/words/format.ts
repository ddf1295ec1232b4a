// How figures, times and names are written. Pure: the clock and the time zone are arguments or fixed to UTC.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 48210 → "48,210" */
export function count(n: number): string {
  return whole.format(n);
}

/** 1234567 → "1.23M"; below 10,000 the whole figure. */
export function short(n: number): string {
  const a = Math.abs(n);
  if (a < 10_000) return whole.format(n);
  const [div, unit] = a < 999_500 ? [1e3, "k"] : a < 999_500_000 ? [1e6, "M"] : [1e9, "G"];
  return `${Number((n / div).toPrecision(3))}${unit}`;
}

/** A metric: three decimals for figures around one, fewer for big ones. */
export function metric(v: number | undefined | null): string {
  if (v === undefined || v === null || !Number.isFinite(v)) return "–";
  const a = Math.abs(v);
  return v.toFixed(a >= 1000 ? 0 : a >= 100 ? 1 : a >= 10 ? 2 : 3);
}

/** A difference with its sign, U+2212 for minus. */
export function signed(v: number): string {
  const s = metric(Math.abs(v));
  return v < 0 ? `−${s}` : `+${s}`;
}

/** Rows per second: 0, 0.4, 12, 4,310. */
export function rate(v: number): string {
  if (v <= 0) return "0";
  return v < 10 ? String(Number(v.toFixed(1))) : short(Math.round(v));
}

export function percent(fraction: number): string {
  const p = fraction * 100;
  if (p <= 0) return "0%";
  if (p < 0.01) return "<0.01%";
  return `${Number(p.toPrecision(p >= 10 ? 3 : 2))}%`;
}

/** True for a missing time and for Go's zero time. */
export function noTime(t: string | undefined | null): boolean {
  return !t || t.startsWith("0001-01-01");
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const two = (n: number) => String(n).padStart(2, "0");

/** An event time: "28 Jan 2001 21:40" (UTC), without the clock at midnight. */
export function eventTime(t: string | undefined | null): string {
  if (noTime(t)) return "–";
  const d = new Date(t!);
  if (Number.isNaN(d.getTime())) return "–";
  const day = `${d.getUTCDate()} ${months[d.getUTCMonth()]} ${d.getUTCFullYear()}`;
  const clock = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
  return clock === "00:00" ? day : `${day} ${clock}`;
}

/** Just the day of an event time: "28 Jan 2001". */
export function eventDay(t: string | undefined | null): string {
  return eventTime(noTime(t) ? t : `${t!.slice(0, 10)}T00:00:00Z`);
}

/** A wall-clock time of day, "14:03:22", in the reader's zone. */
export function clock(t: string): string {
  const d = new Date(t);
  return Number.isNaN(d.getTime()) ? "–" : `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** Seconds as people say them: "0.4 s", "12 s", "3 min", "5 h", "2 d". */
export function span(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 10) return `${Number(s.toFixed(1))} s`;
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

/** "3 min ago", "just now" for the last seconds (and for clocks that differ a little). */
export function ago(t: string | undefined | null, now: number): string {
  if (noTime(t)) return "–";
  const s = (now - new Date(t!).getTime()) / 1000;
  return s < 5 ? "just now" : `${span(s)} ago`;
}

/** The time between two instants, "–" when one of them is missing. */
export function between(from: string, to: string): string {
  if (noTime(from) || noTime(to)) return "–";
  return span((new Date(to).getTime() - new Date(from).getTime()) / 1000);
}

/** The first ten digits of a hash. */
export function hash(h: string | undefined): string {
  return h ? h.slice(0, 10) : "–";
}

/** camelCase and snake_case names as words: "normalizedEntropy" → "normalized entropy". */
export function words(name: string): string {
  return name.replace(/_/g, " ").replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
}

const metricNames: Record<string, string> = {
  auc: "AUC", averagePrecision: "average precision", logloss: "logloss", f1: "F1", ece: "ECE", mae: "MAE", rmse: "RMSE",
  mape: "MAPE", wape: "WAPE", r2: "R²", brier: "Brier", normalizedEntropy: "normalized entropy",
};

/** The candidate, with the number of its trial from the second one on. */
export function trialName(t: { candidate: string; number?: number; refit?: boolean }): string {
  if (t.refit) return `${t.candidate}, refit`;
  return (t.number ?? 0) > 1 ? `${t.candidate} ${t.number}` : t.candidate;
}

export function metricName(m: string): string {
  return metricNames[m] ?? words(m);
}

const risesWhenBetter = new Set(["auc", "averagePrecision", "accuracy", "f1", "precision", "recall", "r2"]);

export function higherIsBetter(m: string): boolean {
  return risesWhenBetter.has(m);
}

/** Pairs with the biggest count first: {late: 3, range: 9} → [["range", 9], ["late", 3]]. */
export function byCount(m: Record<string, number> | undefined | null): [string, number][] {
  return Object.entries(m ?? {}).sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
