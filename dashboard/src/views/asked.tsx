import { useRef } from "preact/hooks";
import { useLive } from "../app";
import { answerTo, type WishKind } from "../state/wish";
import type { Asked, Model } from "../types";

export interface Wish { kind: WishKind; asked: Asked }

/** After this long an unchanged evaluation counts as the answer: the policy found the same as before. */
const patience = 3000;

/** The state of a wish: asked, then what came of it. */
export function AskedNote({ model, wish, onDone }: { model: Model; wish: Wish; onDone: () => void }) {
  const facts = useLive((s) => s.facts);
  const now = useLive((s) => s.now);
  const key = JSON.stringify(model.evaluation ?? null);
  const begin = useRef({ seq: wish.asked.seq, key, at: Date.now() });
  if (begin.current.seq !== wish.asked.seq) begin.current = { seq: wish.asked.seq, key, at: Date.now() };
  const newer = key !== begin.current.key || now - begin.current.at > patience;
  const answer = answerTo(wish.kind, wish.asked.seq, model.name, facts, newer ? model.evaluation : undefined);
  return (
    <p class={`asked-note ${answer.done ? (answer.good ? "good" : "warn") : "flow"}`} data-asked={answer.done ? "done" : "waiting"}>
      <span>{answer.text} <span class="quiet">fact {wish.asked.seq}</span></span>
      <button type="button" class="ghost" aria-label="Dismiss" onClick={onDone}>✕</button>
    </p>
  );
}
