import { useEffect, useRef, useState } from "preact/hooks";
import { useLive } from "../app";
import { choices, filterFacts } from "../state/facts";
import type { Entry } from "../types";
import { Empty } from "../ui/bits";
import { clock } from "../words/format";
import { sentence, shortType, tone } from "../words/sentence";

const shown = 150;

/** The newest facts of the ledger. While the pointer or the focus is on the list it stands still. */
export function FactsView() {
  const facts = useLive((s) => s.facts);
  const [type, setType] = useState("");
  const [name, setName] = useState("");
  const [still, setStill] = useState<readonly Entry[]>();
  const [open, setOpen] = useState<number>();
  const list = useRef<HTMLOListElement>(null);
  const offer = choices(facts);
  const now = filterFacts(facts, { type, name });
  const visible = still ? filterFacts(still, { type, name }) : now;
  const missed = still ? now.filter((e) => e.seq > (still[0]?.seq ?? 0)).length : 0;
  const hold = () => setStill((s) => s ?? facts);
  const release = () => {
    if (!list.current?.contains(document.activeElement)) setStill(undefined);
  };
  useEffect(() => { if (facts.length === 0) setStill(undefined); }, [facts.length === 0]);
  return (
    <aside class="facts" aria-labelledby="facts-title">
      <header class="block-head">
        <h2 id="facts-title">Last facts</h2>
        <span class="quiet facts-state">{still ? (missed ? `paused, ${missed} new` : "paused") : ""}</span>
        <div class="controls">
          <Choice label="Type of fact" all="all types" values={offer.types} value={type} onChange={setType} />
          <Choice label="About" all="all names" values={offer.names} value={name} onChange={setName} />
        </div>
      </header>
      {facts.length === 0 && <Empty>No facts yet. The first ones come with <code>tidemill apply -f FILE</code>.</Empty>}
      {facts.length > 0 && visible.length === 0 && <Empty>No fact fits the filter.</Empty>}
      <ol ref={list} class="fact-list" hidden={visible.length === 0} onMouseEnter={hold} onMouseLeave={release} onFocusIn={hold}
        onFocusOut={(e) => { if (!list.current?.contains(e.relatedTarget as Node | null)) setStill(undefined); }}>
        {visible.slice(0, shown).map((e) => (
          <FactRow key={e.seq} entry={e} open={open === e.seq} onToggle={() => setOpen(open === e.seq ? undefined : e.seq)} />
        ))}
      </ol>
    </aside>
  );
}

function FactRow({ entry: { seq, fact }, open, onToggle }: { entry: Entry; open: boolean; onToggle: () => void }) {
  return (
    <li class={`fact ${tone(fact)}`} data-type={shortType(fact.type)}>
      <button type="button" aria-expanded={open} onClick={onToggle}>
        <span class="fact-meta">
          <span class="fact-seq">{seq}</span> <time dateTime={fact.time}>{clock(fact.time)}</time> <span class="fact-type">{shortType(fact.type)}</span> <span class="fact-subject">{fact.subject}</span>
        </span>
        <span class="fact-text">{sentence(fact)}</span>
      </button>
      {open && <pre tabIndex={0}>{JSON.stringify(fact, null, 2)}</pre>}
    </li>
  );
}

interface ChoiceProps { label: string; all: string; values: string[]; value: string; onChange: (v: string) => void }

function Choice({ label, all, values, value, onChange }: ChoiceProps) {
  return (
    <label><span class="sr">{label}</span>
      <select value={value} onChange={(e) => onChange(e.currentTarget.value)}>
        <option value="">{all}</option>
        {values.map((v) => <option key={v} value={v}>{v}</option>)}
      </select>
    </label>
  );
}
