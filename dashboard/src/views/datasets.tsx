import { useState } from "preact/hooks";
import { api } from "../api";
import { useFetched } from "../app";
import { keys } from "../state/touch";
import type { Alert, Dataset } from "../types";
import { Empty, ProblemNote, Section } from "../ui/bits";
import { byCount, count, eventTime, percent, plural, words } from "../words/format";
import { QuarantineList } from "./quarantine";

export function DatasetsView() {
  const r = useFetched(keys.datasets, api.datasets);
  const alerts = useFetched(keys.alerts, api.alerts);
  const list = r.data ?? [];
  return (
    <Section id="datasets-title" title="Datasets">
      <ProblemNote problem={r.problem} />
      {r.data && list.length === 0 && <Empty>No datasets yet. <code>tidemill init FILE --time COLUMN --label EXPR</code> writes one for your data.</Empty>}
      {list.map((d) => <DatasetRow key={d.name} d={d} alerts={(alerts.data ?? []).filter((a) => a.dataset === d.name && !a.model)} />)}
    </Section>
  );
}

function DatasetRow({ d, alerts }: { d: Dataset; alerts: Alert[] }) {
  const [open, setOpen] = useState(false);
  const refused = d.quarantined + d.rowsHeld;
  const id = `quarantine-${d.name}`;
  return (
    <div class="dataset">
      <h3>{d.name}</h3>
      <dl class="figures">
        <div><dt>accepted</dt><dd>{count(d.accepted)}</dd></div>
        <div class={refused > 0 ? "warned" : ""}><dt>quarantined</dt><dd>{count(d.quarantined)} <span class="quiet">{percent(d.quarantined / Math.max(1, d.accepted + d.quarantined))}</span></dd></div>
        <div><dt>segments</dt><dd>{count(d.segments)}{d.segmentsHeld > 0 && <span class="warn-ink"> {count(d.segmentsHeld)} held</span>}</dd></div>
        <div><dt>watermark</dt><dd>{eventTime(d.watermark)}</dd></div>
        <div><dt>on their way</dt><dd>{count(d.waiting)} <span class="quiet">{d.waiting === 1 ? "message" : "messages"}</span></dd></div>
      </dl>
      {d.accepted === 0 && d.quarantined === 0 && <Empty>No rows yet. Publish some: <code>tidemill publish {d.name} FILE</code>.</Empty>}
      {byCount(d.reasons).length > 0 && <Reasons reasons={byCount(d.reasons)} />}
      {d.segmentsHeld > 0 && <p class="warn-ink">{plural(d.segmentsHeld, "segment")} ({plural(d.rowsHeld, "row")}) held back by a rule on the whole segment.</p>}
      {alerts.map((a) => <p key={a.id} class="warn-ink">{a.message}</p>)}
      {d.quarantined > 0 && (
        <>
          <button type="button" class="link" aria-expanded={open} aria-controls={id} onClick={() => setOpen(!open)}>
            {open ? "Hide the quarantine" : "Show the quarantine"}
          </button>
          <div id={id}>{open && <QuarantineList dataset={d.name} />}</div>
        </>
      )}
    </div>
  );
}

function Reasons({ reasons }: { reasons: [string, number][] }) {
  const most = reasons[0]![1];
  return (
    <ul class="bars" aria-label="Quarantined rows by reason">
      {reasons.slice(0, 8).map(([why, n]) => (
        <li key={why}>
          <span class="bar-name">{words(why)}</span>
          <span class="bar" aria-hidden="true"><span style={{ width: `${Math.max(2, (n / most) * 100)}%` }} /></span>
          <span class="bar-n">{count(n)}</span>
        </li>
      ))}
    </ul>
  );
}
