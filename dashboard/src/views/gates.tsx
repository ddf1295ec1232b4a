import type { Verdict } from "../types";
import { count, eventDay, metric, metricName, signed } from "../words/format";

const signs = { pass: "✓", fail: "✕", inconclusive: "?", skipped: "·" } as const;
const tones = { pass: "good-ink", fail: "bad-ink", inconclusive: "warn-ink", skipped: "quiet" } as const;

export function Gates({ verdict }: { verdict: Verdict }) {
  return (
    <>
      <p class="quiet">{count(verdict.rows)} held-out rows, {eventDay(verdict.from)} to {eventDay(verdict.to)}. {verdict.reason}</p>
      <ul class="gates">
        {(verdict.gates ?? []).map((g) => (
          <li key={g.gate}>
            <span class={tones[g.outcome]} aria-hidden="true">{signs[g.outcome]}</span>
            <span>
              <b>{g.gate}</b><span class="sr">: {g.outcome}.</span>
              <span class="gate-text">{g.text}</span>
              <span class="quiet gate-figures">
                {metricName(g.metric)} {metric(g.value)}
                {g.champion !== undefined && <> · champion {metric(g.champion)}</>}
                {g.difference !== undefined && <> · difference {signed(g.difference)}</>}
                {g.lower !== undefined && g.upper !== undefined && <> [{signed(g.lower)}, {signed(g.upper)}]</>}
                {" "}· n {count(g.n)}
              </span>
            </span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** The sentence of the gate against the champion: what decided, in one line. */
export function versusChampion(v: Verdict | undefined): string {
  const g = (v?.gates ?? []).find((x) => x.champion !== undefined || /champion/i.test(x.gate));
  return g?.text ?? "";
}
