import { useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import type { Figures, Model } from "../types";
import { Ago, Empty, Section } from "../ui/bits";
import { count, eventTime, hash, metric, metricName } from "../words/format";
import { WhyPanel } from "./why";

export function Champion({ model }: { model: Model }) {
  const [why, setWhy] = useState(false);
  const c = model.champion;
  if (!c) {
    return (
      <Section id="champion-title" title="Champion">
        <Empty>
          {model.cycle
            ? <>No champion yet; the first cycle is on its way.</>
            : <>No champion yet. Publish rows with <code>tidemill publish {model.dataset} FILE</code>, or see below what the policy waits for.</>}
        </Empty>
      </Section>
    );
  }
  return (
    <Section id="champion-title" title={`Champion: version ${c.version}`}
      side={<button type="button" class="link" onClick={() => setWhy(true)}>Why is it live?</button>}>
      <dl class="figures">
        <Figure name="live since"><Ago at={c.promotedAt} /></Figure>
        <Figure name="trained through">{eventTime(c.trainedThrough)}</Figure>
        <Figure name="snapshot"><code title={c.snapshot}>{hash(c.snapshot)}</code></Figure>
        <Figure name="candidate">{c.candidate}</Figure>
        {c.verdict && <Figure name="judged on">{count(c.verdict.rows)} rows</Figure>}
        {orderedFigures(c.metrics, model.primary).map(([k, v], i) => (
          <Figure key={k} name={metricName(k)} strong={i === 0}>{metric(v)}</Figure>
        ))}
      </dl>
      {why && <WhyPanel model={model.name} version={c.version} onClose={() => setWhy(false)} />}
    </Section>
  );
}

function Figure({ name, strong, children }: { name: string; strong?: boolean; children: ComponentChildren }) {
  return <div class={strong ? "strong" : ""}><dt>{name}</dt><dd>{children}</dd></div>;
}

/** The primary metric first, the others by name. */
export function orderedFigures(m: Figures | undefined, primary: string): [string, number][] {
  return Object.entries(m ?? {}).sort(([a], [b]) => Number(b === primary) - Number(a === primary) || a.localeCompare(b));
}
