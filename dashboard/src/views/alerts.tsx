import type { Model } from "../types";
import { Chip, Empty, Section } from "../ui/bits";
import { eventTime, metric } from "../words/format";

export function Alerts({ model }: { model: Model }) {
  const alerts = model.openAlerts ?? [];
  return (
    <Section id="alerts-title" title="Open alerts" side={<span class="quiet">{alerts.length || ""}</span>}>
      {alerts.length === 0 && <Empty>None. The stream looks like what the champion was trained on.</Empty>}
      <ul class="alerts" aria-live="polite">
        {alerts.map((a) => (
          <li key={a.id}>
            <Chip tone="warn">{a.kind}</Chip>
            <div>
              <p>{a.message}</p>
              <p class="quiet">
                {metric(a.value)} against {metric(a.threshold)}{a.ordinal ? `, segment ${a.ordinal}` : ""}, {eventTime(a.at)}
              </p>
            </div>
          </li>
        ))}
      </ul>
    </Section>
  );
}
