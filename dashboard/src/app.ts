import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { api } from "./api";
import { Live } from "./live";
import { Queries, useQuery, type Result } from "./state/queries";
import { Store, useStore, type State } from "./state/store";
import { touched } from "./state/touch";

/** Everything that lives as long as the page. */
export interface App { store: Store; queries: Queries; live: Live }

/** Wires store, queries and live stream together; nothing runs before `begin`. */
export function createApp(): App {
  const store = new Store(Date.now());
  const noticed = (status: number | undefined) => {
    if (status !== 401) return;
    store.set({ signedOut: true });
    live.stop();
  };
  const queries = new Queries({ gap: 1000, settle: 150 }, (p) => noticed(p.status));
  const live = new Live({
    onFacts(entries) {
      store.heardFacts(entries);
      queries.invalidate(new Set(entries.flatMap((e) => touched(e.fact))));
    },
    onProgress: (p) => store.heardProgress(p),
    onRates: (r) => store.heardRates(r),
    onConnection(connection) {
      store.set({ connection });
      // An event source doesn't say why it failed; a plain request does.
      if (connection === "reconnecting") void api.status().catch((e: { status?: number }) => noticed(e.status));
    },
    onResumed: () => queries.invalidateAll(),
  });
  return { store, queries, live };
}

/** Starts the stream and the slow clocks of the page. */
export function begin(app: App): void {
  app.live.start();
  setInterval(() => app.store.set({ now: Date.now() }), 5_000);
  // A safety net: whatever a fact should have touched and didn't is right again within half a minute.
  setInterval(() => {
    if (!document.hidden) app.queries.invalidateAll();
  }, 30_000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) app.queries.invalidateAll();
  });
}

export const AppContext = createContext<App | undefined>(undefined);

export function useApp(): App {
  const app = useContext(AppContext);
  if (!app) throw new Error("no app around this view");
  return app;
}

export function useLive<T>(select: (s: State) => T): T {
  return useStore(useApp().store, select);
}

export function useFetched<T>(key: string, fetcher: () => Promise<T>): Result<T> {
  return useQuery(useApp().queries, key, fetcher);
}
