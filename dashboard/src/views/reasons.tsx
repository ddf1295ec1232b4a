import type { Reason } from "../types";
import { words } from "../words/format";

/** The reasons of a policy evaluation as a tree: ✓ holds, · doesn't yet. */
export function ReasonTree({ reasons }: { reasons: readonly Reason[] }) {
  return <ul class="reasons">{reasons.map((r, i) => <Node key={`${r.rule}${i}`} reason={r} />)}</ul>;
}

function Node({ reason: r }: { reason: Reason }) {
  const part = r.target && r.target > 0 ? Math.min(1, Math.max(0, (r.value ?? 0) / r.target)) : undefined;
  return (
    <li class={r.holds ? "holds" : ""}>
      <span class="reason">
        <span class="mark" aria-hidden="true">{r.holds ? "✓" : "·"}</span>
        <span class="sr">{r.holds ? "holds: " : "doesn't hold: "}</span>
        <span class="rule">{words(r.rule)}</span>
        <span class="reason-text">{r.text}</span>
        {part !== undefined && <meter class="part" min={0} max={1} value={part} aria-label={`${Math.round(part * 100)}% of the way`} />}
      </span>
      {r.children && r.children.length > 0 && <ReasonTree reasons={r.children} />}
    </li>
  );
}
