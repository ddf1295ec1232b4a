import { useState } from "preact/hooks";
import { api, asProblem, type Problem } from "../api";
import type { Asked, Model } from "../types";
import { ProblemNote } from "../ui/bits";
import { Dialog } from "../ui/dialog";

const windows: [string, string][] = [
  ["", "The policy's window"], ["expanding", "All rows"], ["sliding 7d", "The last 7 days"], ["sliding 14d", "The last 14 days"],
  ["sliding 28d", "The last 28 days"], ["other", "Another window…"],
];

interface Props { model: Model; onAsked: (a: Asked) => void; onClose: () => void }

export function RetrainDialog({ model, onAsked, onClose }: Props) {
  const [choice, setChoice] = useState("");
  const [other, setOther] = useState("sliding 36h");
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const [busy, setBusy] = useState(false);
  const submit = (e: Event) => {
    e.preventDefault();
    const window = choice === "other" ? other.trim() : choice;
    setBusy(true);
    api.retrain(model.name, { ...(window ? { window } : {}), ...(reason.trim() ? { reason: reason.trim() } : {}) })
      .then(onAsked, (err: unknown) => { setProblem(asProblem(err)); setBusy(false); });
  };
  return (
    <Dialog title={`Retrain ${model.name}`} onClose={onClose}>
      <form onSubmit={submit}>
        <p>Asks for a cycle now. The gates still decide whether the new version goes live.</p>
        <label>Train on
          <select value={choice} onChange={(e) => setChoice(e.currentTarget.value)}>
            {windows.map(([v, word]) => <option key={v} value={v}>{word}</option>)}
          </select>
        </label>
        {choice === "other" && (
          <label>Window
            <input value={other} required onInput={(e) => setOther(e.currentTarget.value)} aria-describedby="window-help" />
            <span id="window-help" class="quiet">For example <code>sliding 36h</code>, <code>sliding 50000rows</code>, <code>sliding 12segments</code>, <code>sample 50000rows balanced</code></span>
          </label>
        )}
        <label>Reason <span class="quiet">optional, kept in the ledger</span>
          <input value={reason} maxLength={200} onInput={(e) => setReason(e.currentTarget.value)} />
        </label>
        <ProblemNote problem={problem} />
        <footer class="dialog-foot">
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="primary" disabled={busy} data-action="confirm-retrain">{busy ? "Asking…" : "Ask for a cycle"}</button>
        </footer>
      </form>
    </Dialog>
  );
}
