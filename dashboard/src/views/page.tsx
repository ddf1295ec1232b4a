import { useEffect } from "preact/hooks";
import { api } from "../api";
import { useFetched, useLive } from "../app";
import { useSelectedModel } from "../route";
import { keys } from "../state/touch";
import { Empty, ProblemNote } from "../ui/bits";
import { DatasetsView } from "./datasets";
import { FactsView } from "./facts";
import { FirstSteps } from "./first-steps";
import { Header } from "./header";
import { ModelView } from "./model";
import { ModelList } from "./model-list";
import { SignIn } from "./sign-in";

export function Page() {
  const signedOut = useLive((s) => s.signedOut);
  return signedOut ? <SignIn /> : <Dashboard />;
}

function Dashboard() {
  const models = useFetched(keys.models, api.models);
  const wanted = useSelectedModel();
  const list = models.data ?? [];
  const model = list.find((m) => m.name === wanted) ?? (wanted ? undefined : list[0]);
  useEffect(() => {
    document.title = model ? `${model.name} · Tidemill` : "Tidemill";
  }, [model?.name]);
  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the model</a>
      <Header />
      <div class="frame">
        <ModelList models={list} selected={model?.name ?? ""} known={models.data !== undefined} />
        <main id="main" tabIndex={-1}>
          <ProblemNote problem={models.problem} />
          {model && <ModelView key={model.name} model={model} />}
          {!model && wanted && models.data && (
            <Empty>There is no model named <b>{wanted}</b>. <a href="#">Show the models there are.</a></Empty>
          )}
          {!model && !wanted && models.data && (
            <FirstSteps />
          )}
          {models.loading && <Empty>Reading the models…</Empty>}
          <DatasetsView />
        </main>
        <FactsView />
      </div>
    </>
  );
}
