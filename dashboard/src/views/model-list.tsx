import { hashOf } from "../route";
import type { Model } from "../types";
import { Chip } from "../ui/bits";
import { metric, metricName, words } from "../words/format";

export function ModelList({ models, selected, known }: { models: readonly Model[]; selected: string; known: boolean }) {
  return (
    <nav class="models" aria-label="Models">
      <h2>Models</h2>
      {known && models.length === 0 && <p class="quiet">none yet</p>}
      <ul>
        {models.map((m) => (
          <li key={m.name}>
            <a href={hashOf(m.name)} aria-current={m.name === selected ? "page" : undefined}>
              <span class="models-name">{m.name}</span>
              <span class="models-line">{line(m)}</span>
              <span class="models-chips"><States model={m} /></span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function line(m: Model): string {
  if (!m.champion) return "no champion yet";
  return `v${m.champion.version} · ${metricName(m.primary)} ${metric(m.champion.metrics?.[m.primary])}`;
}

function States({ model: m }: { model: Model }) {
  const alerts = m.openAlerts?.length ?? 0;
  return (
    <>
      {m.cycle && <Chip tone="flow">{words(m.cycle.state)}</Chip>}
      {m.paused && <Chip tone="plain">paused</Chip>}
      {alerts > 0 && <Chip tone="warn">{alerts === 1 ? "1 alert" : `${alerts} alerts`}</Chip>}
    </>
  );
}
