import type { ComponentChildren } from "preact";
import type { Problem } from "../api";
import { useLive } from "../app";
import { ago, noTime } from "../words/format";
import { outcomeTone, type Tone } from "../words/sentence";

/** An error as a person can read it, with its hint. */
export function ProblemNote({ problem }: { problem: Problem | undefined }) {
  if (!problem || problem.status === 401) return null;
  return (
    <div class="problem" role="alert">
      <p><b><Marked text={problem.message} /></b></p>
      {problem.details.map((d) => (
        <p key={d.message}>{d.location && <code>{d.location}</code>} <Marked text={d.message} /> {d.hint && <span class="quiet"><Marked text={d.hint} /></span>}</p>
      ))}
      {problem.hint && <p class="quiet"><Marked text={problem.hint} /></p>}
    </div>
  );
}

/** Text in which the server puts commands between backticks. */
export function Marked({ text }: { text: string }) {
  return <>{text.split("`").map((part, i) => (i % 2 ? <code key={i}>{part}</code> : part))}</>;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Chip({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={`chip ${tone}`}>{children}</span>;
}

const signs: Record<Tone, string> = { good: "●", warn: "◇", bad: "✕", flow: "◌", plain: "–" };

/** The outcome of a cycle: colour, sign and word. */
export function Outcome({ outcome, state }: { outcome: string | undefined; state?: string }) {
  const tone = outcomeTone(outcome);
  return (
    <span class={`outcome ${tone}`}>
      <span aria-hidden="true">{signs[tone]}</span> {outcome || state || "running"}
    </span>
  );
}

/** "3 min ago", with the whole time on hover. */
export function Ago({ at }: { at: string | undefined }) {
  const now = useLive((s) => s.now);
  if (noTime(at)) return <>–</>;
  return <time dateTime={at!} title={new Date(at!).toLocaleString()}>{ago(at, now)}</time>;
}

export function Section({ title, side, children, id }: { title: string; side?: ComponentChildren; children: ComponentChildren; id: string }) {
  return (
    <section class="block" aria-labelledby={id}>
      <header class="block-head">
        <h2 id={id}>{title}</h2>
        {side}
      </header>
      {children}
    </section>
  );
}
