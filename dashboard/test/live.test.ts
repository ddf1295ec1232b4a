import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Live, type LiveHandlers, type Source } from "../src/live";

class FakeSource implements Source {
  readyState = 0;
  onopen: ((e: Event) => void) | null = null;
  onerror: ((e: Event) => void) | null = null;
  closed = false;
  private readonly on = new Map<string, (e: MessageEvent<string>) => void>();
  constructor(readonly url: string) {}
  addEventListener(type: string, f: (e: MessageEvent<string>) => void) { this.on.set(type, f); }
  close() { this.closed = true; }
  open() { this.readyState = 1; this.onopen?.({} as Event); }
  fail(state: number) { this.readyState = state; this.onerror?.({} as Event); }
  say(type: string, data: unknown, id = "") {
    this.on.get(type)?.({ data: typeof data === "string" ? data : JSON.stringify(data), lastEventId: id } as MessageEvent<string>);
  }
}

describe("Live", () => {
  let sources: FakeSource[];
  let said: unknown[][];
  let live: Live;
  beforeEach(() => {
    vi.useFakeTimers();
    sources = [];
    said = [];
    const to: LiveHandlers = {
      onFacts: (e) => said.push(["facts", ...e.map((x) => x.seq)]),
      onProgress: (p) => said.push(["progress", p.trial]),
      onRates: () => said.push(["rates"]),
      onConnection: (c) => said.push([c]),
      onResumed: () => said.push(["resumed"]),
    };
    live = new Live(to, { past: 50, batch: 100, open: (url) => { const s = new FakeSource(url); sources.push(s); return s; } });
    live.start();
  });
  afterEach(() => { live.stop(); vi.useRealTimers(); });

  it("begins a little in the past and hands facts over together", () => {
    expect(sources[0]!.url).toBe("/api/v1/facts?follow=true&since=-50");
    sources[0]!.open();
    sources[0]!.say("fact", { id: "a" }, "7");
    sources[0]!.say("fact", { id: "b" }, "8");
    expect(said).toEqual([["live"]]);
    vi.advanceTimersByTime(100);
    expect(said).toEqual([["live"], ["facts", 7, 8]]);
  });

  it("lets the browser reconnect, and says when the stream is back", () => {
    sources[0]!.open();
    sources[0]!.fail(0);
    vi.advanceTimersByTime(60_000);
    expect(sources).toHaveLength(1);
    sources[0]!.open();
    expect(said).toEqual([["live"], ["reconnecting"], ["live"], ["resumed"]]);
  });

  it("opens a new stream from the last fact when the browser gave up, with growing pauses", () => {
    sources[0]!.open();
    sources[0]!.say("fact", { id: "a" }, "41");
    sources[0]!.fail(2);
    vi.advanceTimersByTime(499);
    expect(sources).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(sources[1]!.url).toContain("since=41");
    sources[1]!.fail(2);
    vi.advanceTimersByTime(999);
    expect(sources).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(sources).toHaveLength(3);
  });

  it("reads progress bare or in an envelope, and skips what it can't read", () => {
    sources[0]!.say("progress", { trial: "t1" });
    sources[0]!.say("progress", { specversion: "1.0", data: { trial: "t2" } });
    sources[0]!.say("rates", "{not json");
    sources[0]!.say("fact", { id: "no sequence" });
    vi.advanceTimersByTime(1000);
    expect(said).toEqual([["progress", "t1"], ["progress", "t2"]]);
  });

  it("is silent after stop", () => {
    sources[0]!.say("fact", { id: "a" }, "7");
    sources[0]!.fail(2);
    live.stop();
    said.length = 0;
    vi.advanceTimersByTime(60_000);
    expect(said).toEqual([]);
    expect(sources).toHaveLength(1);
  });
});
