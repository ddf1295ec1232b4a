import { useState } from "preact/hooks";
import { api } from "../api";
import { useFetched } from "../app";
import { keys } from "../state/touch";
import type { Model } from "../types";
import { words } from "../words/format";
import { Actions } from "./actions";
import { Alerts } from "./alerts";
import { Champion } from "./champion";
import { CyclesTable } from "./cycles";
import { Flight } from "./flight";
import { MetricView } from "./metric";
import { WhyNotView } from "./why-not";

/** Everything about one model. */
export function ModelView({ model }: { model: Model }) {
  const cycles = useFetched(keys.cycles(model.name), () => api.cycles(model.name));
  const [hot, setHot] = useState("");
  return (
    <article class="model" aria-labelledby="model-name">
      <header class="model-head">
        <div>
          <h1 id="model-name">{model.name}</h1>
          <p class="quiet">{words(model.task)} on {model.dataset}{model.policy ? `, policy ${model.policy}` : ", no policy: it retrains by hand only"}</p>
        </div>
        <Actions model={model} />
      </header>
      <Champion model={model} />
      <MetricView model={model} cycles={cycles.data ?? []} hot={hot} />
      <Flight model={model} />
      <div class="pair">
        <Alerts model={model} />
        <WhyNotView model={model} />
      </div>
      <CyclesTable model={model} cycles={cycles} onHot={setHot} />
    </article>
  );
}
