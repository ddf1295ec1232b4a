import uPlot from "uplot";
import { metric } from "../words/format";
import type { Ink } from "./theme";

const font = '11px ui-sans-serif, system-ui, "Segoe UI", sans-serif';

/** What uPlot draws: one line with points, quiet axes, UTC days. The hooks are the chart component's. */
export function chartOptions(width: number, height: number, ink: Ink, hooks: uPlot.Hooks.Arrays): uPlot.Options {
  const axis = { stroke: ink.text, font, ticks: { show: false }, grid: { stroke: ink.grid, width: 1 } };
  return {
    width, height,
    padding: [14, 10, 0, 0],
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1e3), "Etc/UTC"),
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8, width: 2, fill: ink.ground, stroke: ink.line } },
    scales: { x: { time: true }, y: { range: (_u, lo, hi) => padded(lo, hi) } },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 26, values: dayLabels },
      { ...axis, size: 50, space: 34, values: (_u, at) => at.map((v) => metric(v)) },
    ],
    series: [{}, { stroke: ink.line, width: 2, fill: ink.fill, points: { show: true, size: 5, fill: ink.line, stroke: ink.line } }],
    hooks,
  };
}

/** A little air above and below; a flat line still gets a scale. */
export function padded(lo: number | null, hi: number | null): [number, number] {
  if (lo === null || hi === null || !Number.isFinite(lo) || !Number.isFinite(hi)) return [0, 1];
  const air = Math.max((hi - lo) * 0.12, Math.abs(hi) * 0.005, 1e-4);
  return [lo - air, hi + air];
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "29 Jan", the year only where it first occurs, the clock where the step is below a day. */
function dayLabels(_u: uPlot, at: number[], _axis: number, _space: number, step: number): string[] {
  let year = -1;
  return at.map((ts) => {
    const d = new Date(ts * 1e3);
    const day = `${d.getUTCDate()} ${months[d.getUTCMonth()]}`;
    const clock = step < 86400 ? ` ${String(d.getUTCHours()).padStart(2, "0")}:${String(d.getUTCMinutes()).padStart(2, "0")}` : "";
    const mark = d.getUTCFullYear() !== year ? ` ${d.getUTCFullYear()}` : "";
    year = d.getUTCFullYear();
    return clock && d.getUTCHours() + d.getUTCMinutes() > 0 ? clock.trim() : day + mark;
  });
}
