import type { Rate, Rates } from "../types";

/** How many samples a sparkline shows; one arrives each second. */
export const samples = 120;

export type RateHistory = Record<string, Rate[]>;

/** Adds one sample per dataset; a dataset that the sample doesn't name gets a zero, so that all lines share their time. */
export function addRates(history: RateHistory, r: Rates, limit = samples): RateHistory {
  const out: RateHistory = {};
  const now = r.datasets ?? {};
  for (const name of new Set([...Object.keys(history), ...Object.keys(now)])) {
    const sample = now[name] ?? { accepted: 0, quarantined: 0 };
    out[name] = [...(history[name] ?? []), sample].slice(-limit);
  }
  return out;
}

export function latest(history: RateHistory): Rate {
  let accepted = 0;
  let quarantined = 0;
  for (const line of Object.values(history)) {
    const last = line.at(-1);
    if (last) {
      accepted += last.accepted;
      quarantined += last.quarantined;
    }
  }
  return { accepted, quarantined };
}
