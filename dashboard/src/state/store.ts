import { useEffect, useRef, useState } from "preact/hooks";
import type { Connection } from "../live";
import type { Entry, Progress, Rates } from "../types";
import { addFacts } from "./facts";
import { addProgress, type ProgressByTrial } from "./progress";
import { addRates, type RateHistory } from "./rates";

/** What the live stream has told so far. */
export interface State {
  connection: Connection;
  signedOut: boolean;
  facts: Entry[];
  rates: RateHistory;
  progress: ProgressByTrial;
  /** The wall clock, a step every few seconds, for "3 min ago". */
  now: number;
}

export class Store {
  private state: State;
  private readonly listeners = new Set<() => void>();

  constructor(now: number) {
    this.state = { connection: "connecting", signedOut: false, facts: [], rates: {}, progress: {}, now };
  }

  get(): State {
    return this.state;
  }

  subscribe(f: () => void): () => void {
    this.listeners.add(f);
    return () => this.listeners.delete(f);
  }

  set(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
    for (const f of [...this.listeners]) f();
  }

  heardFacts(entries: Entry[]): void {
    this.set({ facts: addFacts(this.state.facts, entries) });
  }

  heardProgress(p: Progress): void {
    this.set({ progress: addProgress(this.state.progress, p) });
  }

  heardRates(r: Rates): void {
    this.set({ rates: addRates(this.state.rates, r) });
  }
}

/** Renders again only when the selected part changes. */
export function useStore<T>(store: Store, select: (s: State) => T): T {
  const [, again] = useState(0);
  const current = useRef<T>(undefined as T);
  const selector = useRef(select);
  selector.current = select;
  current.current = select(store.get());
  useEffect(
    () =>
      store.subscribe(() => {
        if (!Object.is(selector.current(store.get()), current.current)) again((n) => n + 1);
      }),
    [store],
  );
  return current.current;
}
