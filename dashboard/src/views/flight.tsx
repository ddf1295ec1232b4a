import { useLive } from "../app";
import { liveTrials } from "../state/progress";
import type { Cycle, CycleState, Model, Trial } from "../types";
import { Ago, Section } from "../ui/bits";
import { metric, metricName, trialName, words } from "../words/format";
import { windowOf } from "../words/sentence";

const path: [CycleState, string][] = [
  ["requested", "requested"], ["training", "training"], ["evaluating", "evaluating"], ["rollingOut", "rolling out"],
];

/** The cycle in flight; nothing when none runs. */
export function Flight({ model }: { model: Model }) {
  return <div aria-live="polite">{model.cycle && <InFlight cycle={model.cycle} />}</div>;
}

function InFlight({ cycle }: { cycle: Cycle }) {
  const heard = useLive((s) => s.progress);
  const trials = liveTrials(cycle, heard);
  const at = path.findIndex(([s]) => s === cycle.state);
  const causes = (cycle.causes ?? []).map((c) => c.text || words(c.trigger)).join("; ");
  return (
    <Section id="flight-title" title={`In flight: ${cycle.cycle}`} side={<span class="quiet">began <Ago at={cycle.began} /></span>}>
      <ol class="steps">
        {path.map(([s, word], i) => (
          <li key={s} class={i < at ? "done" : i === at ? "now" : ""} aria-current={i === at ? "step" : undefined}>
            <span class="step-dot" aria-hidden="true">{i < at ? "✓" : ""}</span>{word}
          </li>
        ))}
      </ol>
      <p>{causes}{causes && ". "}<span class="quiet">Trains on {windowOf(cycle.snapshot?.window)}.</span></p>
      <div aria-live="off">{trials.map((t) => <TrialRow key={t.trial} trial={t} />)}</div>
    </Section>
  );
}

function TrialRow({ trial: t }: { trial: Trial }) {
  const id = `trial-${t.trial}`;
  const figures = Object.entries(t.reported ?? t.validation ?? {}).slice(0, 4);
  return (
    <div class="trial">
      <div class="trial-line">
        <b id={id}>{trialName(t)}</b>
        <span>{t.state === "running" ? (t.phase ?? "running") : t.state}{t.attempt > 1 && `, attempt ${t.attempt}`}</span>
        {t.worker && <span class="quiet">{t.worker}</span>}
        <span class="trial-figures">{figures.map(([k, v]) => <span key={k}>{metricName(k)} {metric(v)}</span>)}</span>
      </div>
      <progress max={1} value={t.state === "succeeded" ? 1 : t.fraction} aria-labelledby={id} />
      {(t.message || t.reason) && <p class={t.reason ? "bad-ink" : "quiet"}>{t.reason || t.message}</p>}
      {t.logTail && t.logTail.length > 0 && (
        <details><summary>Last lines of its log</summary><pre tabIndex={0}>{t.logTail.join("\n")}</pre></details>
      )}
    </div>
  );
}
