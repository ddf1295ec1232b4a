import { useLive } from "../app";
import { Spark } from "../chart/spark";
import { rate } from "../words/format";

const saying = { connecting: "connecting", live: "live", reconnecting: "reconnecting" } as const;

export function Header() {
  const connection = useLive((s) => s.connection);
  return (
    <header class="top">
      <a class="brand" href="#" aria-label="Tidemill, all models">
        <svg viewBox="0 0 32 20" width="30" height="19" aria-hidden="true">
          <path d="M1 7c4 0 4-4 8-4s4 4 8 4 4-4 8-4 4 4 6 4M1 16c4 0 4-4 8-4s4 4 8 4 4-4 8-4 4 4 6 4" />
        </svg>
        <span>Tidemill</span>
      </a>
      <p class={`link-state ${connection}`} role="status"><span class="lamp" aria-hidden="true" />{saying[connection]}</p>
      <Flow />
    </header>
  );
}

/** Rows per second of every dataset, with the last two minutes as a line. */
function Flow() {
  const rates = useLive((s) => s.rates);
  const names = Object.keys(rates).sort();
  return (
    <ul class="rates" aria-label="Rows per second">
      {names.slice(0, 6).map((name) => {
        const line = rates[name]!;
        const now = line.at(-1) ?? { accepted: 0, quarantined: 0 };
        return (
          <li key={name}>
            <span class="rate-name">{name}</span>
            <Spark line={line} />
            <span class="rate-figures">
              <span title="accepted rows per second"><b>{rate(now.accepted)}</b>/s<span class="sr"> accepted</span></span>
              <span class={now.quarantined > 0 ? "warn-ink" : "quiet"} title="quarantined rows per second">
                <b>{rate(now.quarantined)}</b>/s <span class="rate-word">quarantined</span>
              </span>
            </span>
          </li>
        );
      })}
    </ul>
  );
}
