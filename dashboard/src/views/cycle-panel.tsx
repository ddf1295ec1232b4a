import type { Cycle } from "../types";
import { Ago, Outcome } from "../ui/bits";
import { Dialog } from "../ui/dialog";
import { count, eventTime, hash, metric, metricName, span, trialName, words } from "../words/format";
import { windowOf } from "../words/sentence";
import { Gates } from "./gates";

/** One cycle whole: causes, data, trials, gates, and its facts in order. */
export function CyclePanel({ cycle: c, onClose }: { cycle: Cycle; onClose: () => void }) {
  return (
    <Dialog wide title={c.cycle} onClose={onClose}>
      <p class="lead"><Outcome outcome={c.outcome} state={words(c.state)} />{c.reason && <> {c.reason}</>}</p>
      <h3>Why it began</h3>
      <ul class="plain">{(c.causes ?? []).map((x) => <li key={x.trigger + x.text}><b>{words(x.trigger)}</b> {x.text}</li>)}</ul>
      <h3>What it learned from</h3>
      <p>
        {windowOf(c.snapshot.window)} of {count(c.snapshot.rows)} accepted rows of {c.snapshot.dataset}, through segment {c.snapshot.through},{" "}
        {eventTime(c.snapshot.maxTime)}. <span class="quiet">Snapshot <code title={c.snapshot.id}>{hash(c.snapshot.id)}</code></span>
      </p>
      {(c.trials?.length ?? 0) > 0 && <h3>Trials</h3>}
      <ul class="plain">
        {(c.trials ?? []).map((t) => (
          <li key={t.trial}>
            <b>{trialName(t)}</b> {t.state}{t.winner && ", the best"}{t.seconds ? ` in ${span(t.seconds)}` : ""}
            {t.validation && <span class="quiet"> {Object.entries(t.validation).slice(0, 4).map(([k, v]) => `${metricName(k)} ${metric(v)}`).join(", ")}</span>}
            {t.reason && <p class="bad-ink">{t.reason}</p>}
          </li>
        ))}
      </ul>
      {c.verdict && <><h3>Gates</h3><Gates verdict={c.verdict} /></>}
      <h3>Its facts</h3>
      <ol class="chain">
        {(c.steps ?? []).map((s) => (
          <li key={s.seq}>
            <span class="chain-text">{s.text || s.type}</span>
            <span class="quiet"><code>{s.type}</code> · fact {s.seq} · <Ago at={s.at} /></span>
          </li>
        ))}
      </ol>
    </Dialog>
  );
}
