import type { Entry, Fact, Progress, Rates } from "./types";

export type Connection = "connecting" | "live" | "reconnecting";

export interface LiveHandlers {
  onFacts(entries: Entry[]): void;
  onProgress(p: Progress): void;
  onRates(r: Rates): void;
  onConnection(c: Connection): void;
  /** The stream is open again after a gap: what was fetched before may be old. */
  onResumed(): void;
}

/** What Live needs of an EventSource; tests give their own. */
export interface Source {
  readonly readyState: number;
  onopen: ((e: Event) => void) | null;
  onerror: ((e: Event) => void) | null;
  addEventListener(type: string, f: (e: MessageEvent<string>) => void): void;
  close(): void;
}

export interface LiveOptions {
  /** How many facts before the newest the list begins with. */
  past: number;
  /** Facts are handed over together at most every so many milliseconds. */
  batch: number;
  open: (url: string) => Source;
}

const closed = 2; // EventSource.CLOSED

/**
 * The live stream of facts. The browser reconnects by itself with Last-Event-ID; when it gives up (the server answered with
 * an error), Live opens a new stream after a growing pause, from the last sequence it has seen.
 */
export class Live {
  private source: Source | undefined;
  private lastSeq = 0;
  private tries = 0;
  private broken = false;
  private waiting: Entry[] = [];
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly to: LiveHandlers;
  private readonly options: LiveOptions;

  constructor(to: LiveHandlers, options: Partial<LiveOptions> = {}) {
    this.to = to;
    this.options = { past: 200, batch: 100, open: (url) => new EventSource(url), ...options };
  }

  start(): void {
    if (this.source) return;
    const since = this.lastSeq > 0 ? this.lastSeq : -this.options.past;
    const s = this.options.open(`/api/v1/facts?follow=true&since=${since}`);
    this.source = s;
    s.onopen = () => this.opened();
    s.onerror = () => this.failed(s);
    s.addEventListener("fact", (e) => this.fact(e));
    s.addEventListener("progress", (e) => parsed<Progress | { data: Progress }>(e.data, (p) => this.to.onProgress(unwrap(p))));
    s.addEventListener("rates", (e) => parsed<Rates>(e.data, (r) => this.to.onRates(r)));
  }

  stop(): void {
    clearTimeout(this.flushTimer);
    clearTimeout(this.retryTimer);
    this.flushTimer = this.retryTimer = undefined;
    this.source?.close();
    this.source = undefined;
  }

  private opened(): void {
    this.tries = 0;
    this.to.onConnection("live");
    if (this.broken) this.to.onResumed();
    this.broken = false;
  }

  private failed(s: Source): void {
    this.broken = true;
    this.to.onConnection("reconnecting");
    if (s.readyState !== closed || this.retryTimer !== undefined) return;
    this.source = undefined;
    const pause = Math.min(10_000, 500 * 2 ** this.tries++);
    this.retryTimer = setTimeout(() => {
      this.retryTimer = undefined;
      this.start();
    }, pause);
  }

  private fact(e: MessageEvent<string>): void {
    parsed<Fact>(e.data, (fact) => {
      const seq = Number(e.lastEventId);
      if (!Number.isFinite(seq) || seq <= 0) return;
      this.lastSeq = Math.max(this.lastSeq, seq);
      this.waiting.push({ seq, fact });
      this.flushTimer ??= setTimeout(() => this.flush(), this.options.batch);
    });
  }

  private flush(): void {
    this.flushTimer = undefined;
    const entries = this.waiting;
    this.waiting = [];
    this.to.onFacts(entries);
  }
}

function unwrap(p: Progress | { data: Progress }): Progress {
  return "data" in p ? p.data : p;
}

function parsed<T>(text: string, use: (v: T) => void): void {
  let v: T;
  try {
    v = JSON.parse(text) as T;
  } catch {
    return; // a line that isn't JSON is nothing that the page could show
  }
  use(v);
}
