import { useState } from "preact/hooks";
import { api, asProblem, type Problem } from "../api";
import { useFetched } from "../app";
import { keys } from "../state/touch";
import type { Asked, Model, Version } from "../types";
import { ProblemNote } from "../ui/bits";
import { Dialog } from "../ui/dialog";
import { eventDay, metric, metricName, noTime } from "../words/format";

interface Props { model: Model; onAsked: (a: Asked) => void; onClose: () => void }

export function RollbackDialog({ model, onAsked, onClose }: Props) {
  const versions = useFetched(keys.versions(model.name), () => api.versions(model.name));
  const [to, setTo] = useState("");
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const old = (versions.data ?? []).filter((v) => v.state === "retired");
  const submit = (e: Event) => {
    e.preventDefault();
    setBusy(true);
    api.rollback(model.name, { ...(to ? { to } : {}), ...(reason.trim() ? { reason: reason.trim() } : {}) })
      .then(onAsked, (err: unknown) => { setProblem(asProblem(err)); setBusy(false); });
  };
  return (
    <Dialog title={`Roll back ${model.name}`} onClose={onClose}>
      <form onSubmit={submit}>
        <p>Puts an earlier champion back in place of version {model.champion?.version}. Requests in flight are not dropped.</p>
        <label>Back to
          <select value={to} onChange={(e) => setTo(e.currentTarget.value)}>
            <option value="">The champion before this one</option>
            {old.map((v) => <option key={v.version} value={v.version}>{describe(v, model.primary)}</option>)}
          </select>
        </label>
        {versions.data && old.length === 0 && <p class="quiet">No earlier version was ever champion.</p>}
        <label>Reason <span class="quiet">optional, kept in the ledger</span>
          <input value={reason} maxLength={200} onInput={(e) => setReason(e.currentTarget.value)} />
        </label>
        <ProblemNote problem={problem ?? versions.problem} />
        <footer class="dialog-foot">
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="primary danger" disabled={busy || (versions.data !== undefined && old.length === 0)} data-action="confirm-rollback">
            {busy ? "Asking…" : "Ask for the rollback"}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function describe(v: Version, primary: string): string {
  const through = noTime(v.trainedThrough) ? "" : `, trained through ${eventDay(v.trainedThrough)}`;
  const figure = v.metrics?.[primary] === undefined ? "" : `, ${metricName(primary)} ${metric(v.metrics[primary])}`;
  return `version ${v.version}${through}${figure}`;
}
