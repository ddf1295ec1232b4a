import { useEffect, useState } from "preact/hooks";
import { api, asProblem, type Problem } from "../api";
import { useApp, useFetched } from "../app";
import { keys } from "../state/touch";
import type { Quarantine, QuarantinedRow } from "../types";
import { Ago, Chip, Empty, ProblemNote } from "../ui/bits";
import { Dialog } from "../ui/dialog";
import { byCount, count, plural, words } from "../words/format";

type Decision = "release" | "drop";

const shownFirst = 20;

/** The refused rows of a dataset by segment, with what a person can decide about them. */
export function QuarantineList({ dataset }: { dataset: string }) {
  const { queries } = useApp();
  const r = useFetched(keys.quarantine(dataset), () => api.quarantine(dataset));
  const [asking, setAsking] = useState<{ what: Decision; q: Quarantine }>();
  const [rows, setRows] = useState<Quarantine>();
  const [all, setAll] = useState(false);
  const list = r.data ?? [];
  const done = () => {
    setAsking(undefined);
    queries.invalidate([keys.quarantine(dataset), keys.datasets]);
  };
  return (
    <>
      <ProblemNote problem={r.problem} />
      {r.data && list.length === 0 && <Empty>Nothing is in quarantine.</Empty>}
      {list.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label={`Quarantine of ${dataset}`}>
          <table>
            <thead><tr><th scope="col">Segment</th><th scope="col" class="num">Rows</th><th scope="col">Reasons</th><th scope="col">When</th><th scope="col">Decision</th></tr></thead>
            <tbody>
              {list.slice(0, all ? undefined : shownFirst).map((q) => (
                <tr key={q.ordinal}>
                  <th scope="row"><button type="button" class="link" onClick={() => setRows(q)} aria-label={`Rows of segment ${q.ordinal}`}>{q.ordinal}</button></th>
                  <td class="num">{count(q.rows)}</td>
                  <td class="wide">{byCount(q.reasons).map(([k, n]) => `${words(k)} ${count(n)}`).join(", ")}</td>
                  <td class="nowrap"><Ago at={q.at} /></td>
                  <td class="nowrap">
                    {q.state === "held"
                      ? <>
                          <button type="button" class="small" onClick={() => setAsking({ what: "release", q })}>Release<span class="sr"> segment {q.ordinal}</span></button>{" "}
                          <button type="button" class="small" onClick={() => setAsking({ what: "drop", q })}>Drop<span class="sr"> segment {q.ordinal}</span></button>
                        </>
                      : <Chip tone="plain">{q.state}</Chip>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.length > shownFirst && <button type="button" class="link" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show all ${count(list.length)}`}</button>}
      {asking && <Decide {...asking} onDone={done} onClose={() => setAsking(undefined)} />}
      {rows && <Rows q={rows} onClose={() => setRows(undefined)} />}
    </>
  );
}

function Decide({ what, q, onDone, onClose }: { what: Decision; q: Quarantine; onDone: () => void; onClose: () => void }) {
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const go = () => {
    setBusy(true);
    api.decide(q.dataset, q.ordinal, what).then(onDone, (e: unknown) => { setProblem(asProblem(e)); setBusy(false); });
  };
  return (
    <Dialog title={`${what === "release" ? "Release" : "Drop"} ${plural(q.rows, "row")}`} onClose={onClose}>
      <p>
        {what === "release"
          ? `The refused rows of segment ${q.ordinal} of ${q.dataset} join the stream again, as they are, and models train on them.`
          : `The refused rows of segment ${q.ordinal} of ${q.dataset} stay out for good.`}
      </p>
      <ProblemNote problem={problem} />
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class={`primary ${what === "drop" ? "danger" : ""}`} disabled={busy} onClick={go}>{what === "release" ? "Release" : "Drop"}</button>
      </footer>
    </Dialog>
  );
}

function Rows({ q, onClose }: { q: Quarantine; onClose: () => void }) {
  const [rows, setRows] = useState<QuarantinedRow[]>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    let gone = false;
    api.quarantinedRows(q.dataset, q.ordinal).then((r) => !gone && setRows(r), (e: unknown) => !gone && setProblem(asProblem(e)));
    return () => { gone = true; };
  }, [q.dataset, q.ordinal]);
  return (
    <Dialog wide title={`Refused rows, segment ${q.ordinal}`} onClose={onClose}>
      <ProblemNote problem={problem} />
      {!rows && !problem && <Empty>Reading…</Empty>}
      {rows && rows.length < q.rows && <p class="quiet">The first {rows.length} of {count(q.rows)}. All: <code>tidemill quarantine list {q.dataset}</code></p>}
      <ol class="refused">
        {(rows ?? []).map((r) => (
          <li key={`${r.sequence}-${r.offset}`}>
            <p><Chip tone="warn">{words(r.reason)}</Chip> {r.detail}</p>
            <pre tabIndex={0}>{r.row}</pre>
          </li>
        ))}
      </ol>
    </Dialog>
  );
}
