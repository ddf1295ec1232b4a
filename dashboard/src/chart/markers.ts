import type { Cycle, MetricPoint } from "../types";
import { higherIsBetter, noTime } from "../words/format";

/** Where a cycle stands on the axis of event time. `at` is in seconds since 1970, as uPlot counts. */
export interface Marker { at: number; cycle: Cycle; outcome: string }

export function seconds(t: string): number {
  return new Date(t).getTime() / 1000;
}

/** Marks the cycles that ended in a verdict or a failure, in order of event time. */
export function markersOf(cycles: readonly Cycle[]): Marker[] {
  return cycles
    .filter((c) => !noTime(c.eventTime) && (c.outcome === "promoted" || c.outcome === "rejected" || c.outcome === "failed"))
    .map((c) => ({ at: seconds(c.eventTime), cycle: c, outcome: c.outcome! }))
    .sort((a, b) => a.at - b.at || a.cycle.number - b.cycle.number);
}

/** The index of the marker nearest to x (in pixels) within reach, or -1. */
export function nearestMarker(markers: readonly Marker[], x: number, toPixel: (at: number) => number, reach = 10): number {
  let best = -1;
  let distance = reach;
  markers.forEach((m, i) => {
    const d = Math.abs(toPixel(m.at) - x);
    if (d < distance || (d === distance && best >= 0)) {
      best = i;
      distance = d;
    }
  });
  return best;
}

export interface Series { x: number[]; y: (number | null)[] }

/** One metric over event time: each bucket at its middle, null where the champion has no figure. */
export function seriesOf(points: readonly MetricPoint[], metric: string): Series {
  const sorted = [...points].filter((p) => !noTime(p.from)).sort((a, b) => seconds(a.from) - seconds(b.from));
  return {
    x: sorted.map((p) => (seconds(p.from) + seconds(noTime(p.to) ? p.from : p.to)) / 2),
    y: sorted.map((p) => {
      const v = p.metrics?.[metric];
      return v === undefined || !Number.isFinite(v) ? null : v;
    }),
  };
}

/** The points in the order of `seriesOf`. */
export function ordered(points: readonly MetricPoint[]): MetricPoint[] {
  return [...points].filter((p) => !noTime(p.from)).sort((a, b) => seconds(a.from) - seconds(b.from));
}

/** The metrics that occur, the model's primary first, the others by name. */
export function metricsIn(points: readonly MetricPoint[], primary: string): string[] {
  const names = new Set<string>();
  for (const p of points) for (const k of Object.keys(p.metrics ?? {})) names.add(k);
  const had = names.delete(primary);
  return [...(had || primary ? [primary] : []), ...[...names].sort()].filter(Boolean);
}

/** A sentence for those who can't see the line. */
export function summary(s: Series, name: string, metric: string, markers: readonly Marker[], write: (v: number) => string): string {
  const seen = s.y.filter((v): v is number => v !== null);
  if (seen.length === 0) return `${name}: no figures yet.`;
  const [first, last] = [seen[0]!, seen.at(-1)!];
  const better = higherIsBetter(metric) ? last > first : last < first;
  const trend = last === first ? "unchanged" : better ? "better" : "worse";
  const n = (o: string) => markers.filter((m) => m.outcome === o).length;
  return (
    `${name} over event time, ${seen.length} points from ${write(first)} to ${write(last)} (${trend}). ` +
    `Cycles: ${n("promoted")} promoted, ${n("rejected")} rejected, ${n("failed")} failed. Arrow keys read the points.`
  );
}

/** The cycles that were requested within a point's bucket of event time. */
export function within(markers: readonly Marker[], p: MetricPoint): Marker[] {
  return markers.filter((m) => m.at >= seconds(p.from) && m.at < seconds(p.to));
}
