import { useEffect, useState } from "preact/hooks";
import { asProblem, type Problem } from "../api";
import { matches } from "./touch";

export interface Result<T> { data: T | undefined; problem: Problem | undefined; loading: boolean }

interface Query {
  fetcher: () => Promise<unknown>;
  result: Result<unknown>;
  listeners: Set<() => void>;
  running: boolean;
  stale: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  last: number;
}

/** Milliseconds: gap between two fetches of one key; settle before a fetch that a fact caused, so that the server has read it too. */
export interface Pace { gap: number; settle: number }

/**
 * The fetched state of the page by key. A key is fetched when somebody looks at it, and again after `invalidate`, but at most
 * once per `pace.gap`: a stream of facts costs a steady trickle of requests. The last good answer stays while a new
 * one is on its way or fails.
 */
export class Queries {
  private readonly all = new Map<string, Query>();
  private readonly pace: Pace;
  private readonly onProblem: (p: Problem) => void;

  constructor(pace: Pace, onProblem: (p: Problem) => void) {
    this.pace = pace;
    this.onProblem = onProblem;
  }

  watch<T>(key: string, fetcher: () => Promise<T>, listener: () => void): () => void {
    let q = this.all.get(key);
    if (!q) {
      q = {
        fetcher, listeners: new Set(), running: false, stale: true, timer: undefined, last: -Infinity,
        result: { data: undefined, problem: undefined, loading: true },
      };
      this.all.set(key, q);
    }
    q.fetcher = fetcher;
    q.listeners.add(listener);
    if (q.stale) this.schedule(q, 0);
    const query = q;
    return () => {
      query.listeners.delete(listener);
      if (query.listeners.size === 0) query.stale = true; // whoever looks next wants it fresh
    };
  }

  get<T>(key: string): Result<T> {
    const q = this.all.get(key);
    return (q ? q.result : { data: undefined, problem: undefined, loading: true }) as Result<T>;
  }

  invalidate(patterns: Iterable<string>): void {
    const list = [...patterns];
    for (const [key, q] of this.all) {
      if (!list.some((p) => matches(key, p))) continue;
      q.stale = true;
      if (q.listeners.size > 0) this.schedule(q);
    }
  }

  invalidateAll(): void {
    for (const q of this.all.values()) {
      q.stale = true;
      if (q.listeners.size > 0) this.schedule(q);
    }
  }

  private schedule(q: Query, settle = this.pace.settle): void {
    if (q.running || q.timer !== undefined) return;
    const wait = Math.max(settle, q.last + this.pace.gap - Date.now());
    q.timer = setTimeout(() => {
      q.timer = undefined;
      void this.run(q);
    }, wait);
  }

  private async run(q: Query): Promise<void> {
    q.running = true;
    q.stale = false;
    q.last = Date.now();
    try {
      q.result = { data: await q.fetcher(), problem: undefined, loading: false };
    } catch (e) {
      const problem = asProblem(e);
      // While the server is out of reach the header says so; what was read before stays, without a note in every section.
      const quiet = problem.status === 0 && q.result.data !== undefined;
      q.result = { data: q.result.data, problem: quiet ? undefined : problem, loading: false };
      this.onProblem(problem);
    }
    q.running = false;
    for (const l of [...q.listeners]) l();
    if (q.stale && q.listeners.size > 0) this.schedule(q);
  }
}

/** The hook over Queries: renders again when the key's answer changes. */
export function useQuery<T>(queries: Queries, key: string, fetcher: () => Promise<T>): Result<T> {
  const [, again] = useState(0);
  useEffect(() => {
    const stop = queries.watch(key, fetcher, () => again((n) => n + 1));
    again((n) => n + 1);
    return stop;
    // The fetcher is a function of the key.
  }, [queries, key]);
  return queries.get<T>(key);
}
