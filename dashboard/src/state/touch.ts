import type { Fact } from "../types";
import { shortType } from "../words/sentence";

/** The keys of everything that the page fetches. */
export const keys = {
  models: "models",
  datasets: "datasets",
  alerts: "alerts",
  cycles: (m: string) => `cycles/${m}`,
  versions: (m: string) => `versions/${m}`,
  metrics: (m: string, bucket: string) => `metrics/${m}/${bucket}`,
  whyNot: (m: string) => `why-not/${m}`,
  quarantine: (d: string) => `quarantine/${d}`,
};

/**
 * The keys that a fact makes stale. A key that ends in "/" stands for all keys below it. A fact of a dataset touches every
 * model, since models follow datasets; the page only refetches what it shows.
 */
export function touched(f: Fact): string[] {
  const short = shortType(f.type);
  const [noun] = short.split(".");
  const name = f.subject;
  switch (noun) {
    case "segment":
      if (short === "segment.observed") return [keys.models, `metrics/${name}/`, keys.whyNot(name)];
      return [keys.datasets, keys.quarantine(name)];
    case "quarantine":
      return [keys.datasets, keys.quarantine(name)];
    case "alert":
      return [keys.alerts, keys.models];
    case "resource":
      return [keys.models, keys.datasets, keys.alerts, "why-not/", "metrics/", "cycles/", "versions/"];
    case "model": case "rollout": case "candidate":
      return [keys.models, keys.cycles(name), keys.versions(name), keys.whyNot(name)];
    case "cycle": case "trial": case "retrain": case "rollback":
      return [keys.models, keys.cycles(name), keys.whyNot(name)];
    default:
      return [];
  }
}

export function matches(key: string, pattern: string): boolean {
  return pattern.endsWith("/") ? key.startsWith(pattern) : key === pattern;
}
