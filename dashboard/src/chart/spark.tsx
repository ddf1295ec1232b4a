import type { Rate } from "../types";
import { samples } from "../state/rates";

export interface SparkShape { accepted: string; quarantined: string; peak: number }

/** The SVG paths of a line of rates: accepted as an area, quarantined as bars from the same ground. */
export function sparkPaths(line: readonly Rate[], width: number, height: number, room = samples): SparkShape {
  const peak = Math.max(1, ...line.map((r) => Math.max(r.accepted, r.quarantined)));
  const step = width / (room - 1);
  const left = width - (line.length - 1) * step;
  const y = (v: number) => (height - (v / peak) * (height - 1)).toFixed(1);
  const x = (i: number) => (left + i * step).toFixed(1);
  if (line.length === 0) return { accepted: "", quarantined: "", peak };
  const top = line.map((r, i) => `${x(i)},${y(r.accepted)}`).join("L");
  const bars = line.map((r, i) => (r.quarantined > 0 ? `M${x(i)},${height}V${y(r.quarantined)}` : "")).join("");
  return { accepted: `M${x(0)},${height}L${top}L${x(line.length - 1)},${height}Z`, quarantined: bars, peak };
}

export function Spark({ line, width = 120, height = 22 }: { line: readonly Rate[]; width?: number; height?: number }) {
  const s = sparkPaths(line, width, height);
  return (
    <svg class="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true" focusable="false">
      <path class="spark-ground" d={`M0,${height - 0.5}H${width}`} />
      <path class="spark-accepted" d={s.accepted} />
      <path class="spark-quarantined" d={s.quarantined} />
    </svg>
  );
}
