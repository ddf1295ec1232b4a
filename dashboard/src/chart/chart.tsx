import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Cycle, MetricPoint } from "../types";
import { count, eventDay, metric as figure, metricName, words } from "../words/format";
import { outcomeTone } from "../words/sentence";
import { drawMarkers } from "./draw";
import { markersOf, nearestMarker, ordered, seriesOf, summary, within, type Marker } from "./markers";
import { chartOptions } from "./options";
import { inkOf } from "./theme";

interface Props {
  points: readonly MetricPoint[];
  cycles: readonly Cycle[];
  metric: string;
  /** The cycle that another view points at. */
  hot: string;
}

interface Focus { x: number; point: number; marker: number }

const height = 230;
const nothing: Focus = { x: 0, point: -1, marker: -1 };

/** The champion's metric over event time, each row scored before anything trained on it, with the cycles as markers. */
export function MetricChart({ points, cycles, metric, hot }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [focus, setFocus] = useState<Focus>(nothing);
  const list = useMemo(() => ordered(points), [points]);
  const series = useMemo(() => seriesOf(points, metric), [points, metric]);
  const markers = useMemo(() => markersOf(cycles), [cycles]);
  const drawn = useRef({ markers, hot: -1 });
  drawn.current = { markers, hot: focus.marker >= 0 ? focus.marker : markers.findIndex((m) => m.cycle.cycle === hot) };

  usePlot(host, plot, drawn, setFocus);
  useEffect(() => plot.current?.setData([series.x, series.y]), [series]);
  useEffect(() => plot.current?.redraw(false), [markers, drawn.current.hot]);

  const move = (e: KeyboardEvent) => {
    const step = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
    const u = plot.current;
    if (!step || !u || list.length === 0) return;
    e.preventDefault();
    const at = focus.point < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, focus.point + step));
    u.setCursor({ left: u.valToPos(series.x[at]!, "x"), top: 10 });
  };
  const marker = markers[focus.marker];
  const point = list[focus.point];
  return (
    <div class="chart">
      <div ref={host} class="chart-plot" role="img" tabIndex={0} onKeyDown={move} onBlur={() => setFocus(nothing)}
        aria-label={summary(series, metricName(metric), metric, markers, figure)} />
      {(marker || point) && (
        <div class={`chart-tip ${focus.x > (host.current?.clientWidth ?? 0) / 2 ? "at-left" : ""}`}
          style={{ left: `${focus.x}px` }} role="status">
          {marker ? <MarkerTip m={marker} /> : <PointTip p={point!} metric={metric} within={within(markers, point!)} />}
        </div>
      )}
    </div>
  );
}

function MarkerTip({ m }: { m: Marker }) {
  const causes = (m.cycle.causes ?? []).map((c) => c.text || words(c.trigger)).join("; ");
  return (
    <>
      <p class="tip-head"><b>{m.cycle.cycle}</b> <span class={`outcome ${outcomeTone(m.outcome)}`}>{m.outcome}</span></p>
      <p class="quiet">{eventDay(m.cycle.eventTime)}</p>
      {causes && <p>{causes}</p>}
      {m.cycle.reason && <p>{m.cycle.reason}</p>}
    </>
  );
}

function PointTip({ p, metric, within }: { p: MetricPoint; metric: string; within: Marker[] }) {
  return (
    <>
      <p class="tip-head"><b>{figure(p.metrics?.[metric])}</b> {metricName(metric)}</p>
      <p class="quiet">{eventDay(p.from)} to {eventDay(p.to)}</p>
      <p class="quiet">{count(p.rows)} rows, version {p.version || "–"}</p>
      {within.map((m) => <p key={m.cycle.cycle} class="quiet">{m.cycle.cycle} <span class={`outcome ${outcomeTone(m.outcome)}`}>{m.outcome}</span></p>)}
    </>
  );
}

type Drawn = { current: { markers: Marker[]; hot: number } };

/** Keeps one uPlot alive in the host: makes it anew when the theme changes, resizes it with the page. */
function usePlot(
  host: { current: HTMLDivElement | null }, plot: { current: uPlot | undefined }, drawn: Drawn, setFocus: (f: Focus) => void,
): void {
  useEffect(() => {
    const el = host.current!;
    const make = () => {
      const data = plot.current?.data ?? ([[], []] as uPlot.AlignedData);
      plot.current?.destroy();
      const ink = inkOf(el);
      plot.current = new uPlot(chartOptions(Math.max(200, el.clientWidth), height, ink, {
        draw: [(u) => drawMarkers(u, drawn.current.markers, drawn.current.hot, ink)],
        setCursor: [(u) => setFocus(focusOf(u, drawn.current.markers))],
      }), data, el);
    };
    make();
    const theme = matchMedia("(prefers-color-scheme: dark)");
    theme.addEventListener("change", make);
    const size = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(200, el.clientWidth), height }));
    size.observe(el);
    return () => {
      theme.removeEventListener("change", make);
      size.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, []);
}

function focusOf(u: uPlot, markers: readonly Marker[]): Focus {
  const left = u.cursor.left ?? -1;
  if (left < 0) return nothing;
  const marker = nearestMarker(markers, left, (at) => u.valToPos(at, "x"));
  const point = u.cursor.idx ?? -1;
  const x = marker >= 0 ? u.valToPos(markers[marker]!.at, "x") : left;
  return { x: x + u.bbox.left / devicePixelRatio, point, marker };
}
