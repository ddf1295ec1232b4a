import { api, asProblem, type Problem } from "../api";
import { useEffect, useState } from "preact/hooks";
import type { Why } from "../types";
import { Dialog } from "../ui/dialog";
import { Ago, Empty, ProblemNote } from "../ui/bits";
import { Gates } from "./gates";
import { ReasonTree } from "./reasons";

/** Why a version is what it is: the causes back to the rows, the gates, the policy's reasons. */
export function WhyPanel({ model, version, onClose }: { model: string; version: string; onClose: () => void }) {
  const [why, setWhy] = useState<Why>();
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    let gone = false;
    api.why(model, version).then((w) => !gone && setWhy(w), (e: unknown) => !gone && setProblem(asProblem(e)));
    return () => { gone = true; };
  }, [model, version]);
  const verdict = why?.version?.verdict ?? why?.cycle?.verdict;
  return (
    <Dialog wide title={`Why ${model} version ${version}`} onClose={onClose}>
      <ProblemNote problem={problem} />
      {!why && !problem && <Empty>Following the causes…</Empty>}
      {why && (
        <>
          <p class="lead">{why.text}</p>
          <h3>Causes, newest first</h3>
          <ol class="chain">
            {(why.chain ?? []).map((s) => (
              <li key={s.seq || s.id}>
                <span class="chain-text">{s.text}</span>
                <span class="quiet"><code>{s.type}</code> · fact {s.seq} · <Ago at={s.at} /></span>
              </li>
            ))}
          </ol>
          {verdict && <><h3>Gates</h3><Gates verdict={verdict} /></>}
          {why.policy && why.policy.length > 0 && <><h3>What the policy found</h3><ReasonTree reasons={why.policy} /></>}
        </>
      )}
    </Dialog>
  );
}
