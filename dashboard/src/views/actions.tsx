import { useState } from "preact/hooks";
import { api, asProblem, type Problem } from "../api";
import { useApp } from "../app";
import { keys } from "../state/touch";
import type { Asked, Model } from "../types";
import { ProblemNote } from "../ui/bits";
import { AskedNote, type Wish } from "./asked";
import { RetrainDialog } from "./retrain-dialog";
import { RollbackDialog } from "./rollback-dialog";

/** What a person can do with a model: each is a wish that becomes a fact; the note below says what came of it. */
export function Actions({ model }: { model: Model }) {
  const { queries } = useApp();
  const [open, setOpen] = useState<"retrain" | "rollback">();
  const [wish, setWish] = useState<Wish>();
  const [problem, setProblem] = useState<Problem>();
  const asked = (kind: Wish["kind"]) => (a: Asked) => {
    setProblem(undefined);
    setWish({ kind, asked: a });
    setOpen(undefined);
    queries.invalidate([keys.models, keys.whyNot(model.name)]);
  };
  const toggle = () => {
    const call = model.paused ? api.resume(model.name) : api.pause(model.name);
    call.then(asked(model.paused ? "resume" : "pause"), (e: unknown) => setProblem(asProblem(e)));
  };
  return (
    <div class="actions">
      <div class="buttons">
        <button type="button" class="primary" data-action="retrain" onClick={() => setOpen("retrain")}>Retrain…</button>
        <button type="button" data-action="rollback" disabled={!model.champion} onClick={() => setOpen("rollback")}>Roll back…</button>
        {(model.policy || model.paused) && (
          <button type="button" data-action="pause" onClick={toggle}>{model.paused ? "Resume policy" : "Pause policy"}</button>
        )}
      </div>
      <div aria-live="polite" class="asked-place">
        <ProblemNote problem={problem} />
        {wish && <AskedNote model={model} wish={wish} onDone={() => setWish(undefined)} />}
      </div>
      {open === "retrain" && <RetrainDialog model={model} onAsked={asked("retrain")} onClose={() => setOpen(undefined)} />}
      {open === "rollback" && <RollbackDialog model={model} onAsked={asked("rollback")} onClose={() => setOpen(undefined)} />}
    </div>
  );
}
