import { useState } from "preact/hooks";
import { api } from "../api";
import { useFetched } from "../app";
import { MetricChart } from "../chart/chart";
import { metricsIn } from "../chart/markers";
import { keys } from "../state/touch";
import type { Cycle, Model } from "../types";
import { Empty, ProblemNote, Section } from "../ui/bits";
import { higherIsBetter, metricName } from "../words/format";

const buckets = [["1d", "days"], ["7d", "weeks"]] as const;

export function MetricView({ model, cycles, hot }: { model: Model; cycles: readonly Cycle[]; hot: string }) {
  const [bucket, setBucket] = useState("7d");
  const [chosen, setChosen] = useState("");
  const r = useFetched(keys.metrics(model.name, bucket), () => api.metrics(model.name, bucket));
  const points = r.data ?? [];
  const names = metricsIn(points, model.primary);
  const metric = names.includes(chosen) ? chosen : (names[0] ?? model.primary);
  const side = (
    <div class="controls">
      <label><span class="sr">Metric</span>
        <select value={metric} onChange={(e) => setChosen(e.currentTarget.value)}>
          {names.map((n) => <option key={n} value={n}>{metricName(n)}</option>)}
        </select>
      </label>
      <fieldset class="switch">
        <legend class="sr">One point for</legend>
        {buckets.map(([value, word]) => (
          <label key={value}>
            <input type="radio" name="bucket" value={value} checked={bucket === value} onChange={() => setBucket(value)} />
            <span>{word}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
  return (
    <Section id="metric-title" title={`${metricName(metric)} over event time`} side={side}>
      <p class="quiet note">
        Each row scored by the champion before anything trained on it; {higherIsBetter(metric) ? "higher" : "lower"} is better.{" "}
        <span class="key"><i class="good-ink">●</i> promoted <i class="warn-ink">◇</i> rejected <i class="bad-ink">✕</i> failed</span>
      </p>
      <ProblemNote problem={r.problem} />
      {r.data && points.length === 0 && cycles.length === 0
        ? <Empty>No figures yet. They begin with the first segment that arrives after the first model is live.</Empty>
        : <MetricChart points={points} cycles={cycles} metric={metric} hot={hot} />}
    </Section>
  );
}
