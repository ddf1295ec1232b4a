import { api } from "../api";
import { useFetched } from "../app";
import { keys } from "../state/touch";
import type { Model } from "../types";
import { Empty, ProblemNote, Section } from "../ui/bits";
import { eventTime, noTime } from "../words/format";
import { ReasonTree } from "./reasons";

/** Why no cycle runs now: the last evaluation of the policy. */
export function WhyNotView({ model }: { model: Model }) {
  const r = useFetched(keys.whyNot(model.name), () => api.whyNot(model.name));
  const side = r.data && !noTime(r.data.now) ? <span class="quiet">at {eventTime(r.data.now)}</span> : undefined;
  return (
    <Section id="why-not-title" title="What the policy waits for" side={side}>
      <ProblemNote problem={r.problem} />
      {r.data && (
        <>
          <p>{r.data.text}</p>
          {(r.data.reasons?.length ?? 0) > 0 && <ReasonTree reasons={r.data.reasons!} />}
        </>
      )}
      {r.loading && <Empty>Asking the policy…</Empty>}
    </Section>
  );
}
