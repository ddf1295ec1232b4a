import { useState } from "preact/hooks";
import type { Result } from "../state/queries";
import type { Cycle, Model } from "../types";
import { Ago, Empty, Outcome, ProblemNote, Section } from "../ui/bits";
import { between, count, eventDay, noTime, words } from "../words/format";
import { CyclePanel } from "./cycle-panel";
import { versusChampion } from "./gates";

interface Props { model: Model; cycles: Result<Cycle[]>; onHot: (cycle: string) => void }

const first = 12;

export function CyclesTable({ model, cycles, onHot }: Props) {
  const [all, setAll] = useState(false);
  const [open, setOpen] = useState<string>();
  const list = cycles.data ?? [];
  const shown = all ? list : list.slice(0, first);
  const opened = list.find((c) => c.cycle === open);
  return (
    <Section id="cycles-title" title="Cycles" side={<span class="quiet">{tally(model)}</span>}>
      <ProblemNote problem={cycles.problem} />
      {cycles.data && list.length === 0 && (
        <Empty>No cycle yet. The policy requests the first one when enough rows are there, or you do with <code>tidemill retrain {model.name}</code>.</Empty>
      )}
      {list.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Table of cycles">
          <table class="cycles">
            <thead>
              <tr><th scope="col">Cycle</th><th scope="col">Outcome</th><th scope="col">Why it began, how it ended</th><th scope="col">Event time</th><th scope="col">Took</th><th scope="col">When</th></tr>
            </thead>
            <tbody>
              {shown.map((c) => <Row key={c.cycle} cycle={c} onHot={onHot} onOpen={() => setOpen(c.cycle)} />)}
            </tbody>
          </table>
        </div>
      )}
      {list.length > first && (
        <button type="button" class="link" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show all ${count(list.length)}`}</button>
      )}
      {opened && <CyclePanel cycle={opened} onClose={() => setOpen(undefined)} />}
    </Section>
  );
}

function Row({ cycle: c, onHot, onOpen }: { cycle: Cycle; onHot: (c: string) => void; onOpen: () => void }) {
  const causes = (c.causes ?? []).map((x) => x.text || words(x.trigger)).join("; ");
  const versus = versusChampion(c.verdict); // of a promotion it says more than the reason does
  return (
    <tr data-cycle={c.cycle} data-outcome={c.outcome ?? ""} onMouseEnter={() => onHot(c.cycle)} onMouseLeave={() => onHot("")}>
      <th scope="row">
        <button type="button" class="link" onClick={onOpen} onFocus={() => onHot(c.cycle)} onBlur={() => onHot("")}>{c.cycle}</button>
        {c.version && <span class="quiet"> v{c.version}</span>}
      </th>
      <td><Outcome outcome={c.outcome} state={words(c.state)} /></td>
      <td class="wide">
        <p>{causes}{c.manual && <span class="quiet"> by hand</span>}</p>
        {c.reason && !(versus && c.outcome === "promoted") && <p class="quiet">{c.reason}</p>}
        {versus && versus !== c.reason && <p class="quiet">{versus}</p>}
      </td>
      <td class="nowrap">{eventDay(c.eventTime)}</td>
      <td class="nowrap">{between(c.began, c.ended)}</td>
      <td class="nowrap"><Ago at={noTime(c.ended) ? c.began : c.ended} /></td>
    </tr>
  );
}

function tally(m: Model): string {
  const n = m.cycles ?? {};
  return ["promoted", "rejected", "failed", "cancelled", "superseded"].filter((k) => n[k]).map((k) => `${count(n[k]!)} ${k}`).join(", ");
}
