import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { api, asProblem, Problem } from "../src/api";
import { Queries } from "../src/state/queries";
import { modelInHash } from "../src/route";
import { loginLink } from "../src/words/login";

describe("Queries", () => {
  beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => void vi.useRealTimers());

  it("fetches at once, then at most once per gap however many facts come", async () => {
    const q = new Queries({ gap: 1000, settle: 100 }, () => {});
    const fetcher = vi.fn(async () => 1);
    const seen = vi.fn();
    q.watch("k", fetcher, seen);
    await vi.advanceTimersByTimeAsync(0);
    expect(fetcher).toHaveBeenCalledTimes(1);
    for (let i = 0; i < 50; i++) q.invalidate(["k"]);
    await vi.advanceTimersByTimeAsync(999);
    expect(fetcher).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(fetcher).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(fetcher).toHaveBeenCalledTimes(2);
    expect(seen).toHaveBeenCalledTimes(2);
  });

  it("fetches again when a fact came while the answer was on its way", async () => {
    const q = new Queries({ gap: 10, settle: 0 }, () => {});
    let n = 0;
    const fetcher = vi.fn(() => new Promise<number>((ok) => setTimeout(() => ok(++n), 50)));
    q.watch("k", fetcher, () => {});
    await vi.advanceTimersByTimeAsync(20);
    q.invalidate(["k"]);
    await vi.advanceTimersByTimeAsync(200);
    expect(fetcher).toHaveBeenCalledTimes(2);
    expect(q.get("k").data).toBe(2);
  });

  it("keeps the last good answer beside a problem", async () => {
    const problems: Problem[] = [];
    const q = new Queries({ gap: 10, settle: 0 }, (p) => problems.push(p));
    const fetcher = vi.fn<() => Promise<string>>().mockResolvedValueOnce("good").mockRejectedValueOnce(new Problem({ status: 503, detail: "no" }));
    q.watch("k", fetcher, () => {});
    await vi.advanceTimersByTimeAsync(1);
    q.invalidateAll();
    await vi.advanceTimersByTimeAsync(50);
    expect(q.get<string>("k")).toMatchObject({ data: "good", problem: { status: 503 }, loading: false });
    expect(problems).toHaveLength(1);
  });

  it("is quiet about a server out of reach once there is something to show", async () => {
    const q = new Queries({ gap: 10, settle: 0 }, () => {});
    const fetcher = vi.fn<() => Promise<string>>().mockResolvedValueOnce("good").mockRejectedValue(new TypeError("failed to fetch"));
    q.watch("k", fetcher, () => {});
    q.watch("never", () => Promise.reject(new TypeError("failed to fetch")), () => {});
    await vi.advanceTimersByTimeAsync(1);
    q.invalidateAll();
    await vi.advanceTimersByTimeAsync(50);
    expect(q.get("k")).toMatchObject({ data: "good", problem: undefined });
    expect(q.get("never")).toMatchObject({ data: undefined, problem: { status: 0 } });
  });

  it("leaves what nobody looks at alone, and fetches it anew for the next reader", async () => {
    const q = new Queries({ gap: 10, settle: 0 }, () => {});
    const fetcher = vi.fn(async () => 1);
    const stop = q.watch("k", fetcher, () => {});
    await vi.advanceTimersByTimeAsync(1);
    stop();
    q.invalidate(["k"]);
    await vi.advanceTimersByTimeAsync(100);
    expect(fetcher).toHaveBeenCalledTimes(1);
    q.watch("k", fetcher, () => {});
    await vi.advanceTimersByTimeAsync(100);
    expect(fetcher).toHaveBeenCalledTimes(2);
  });
});

describe("api", () => {
  afterEach(() => void vi.unstubAllGlobals());
  const answers = (body: string, status: number) => vi.stubGlobal("fetch", vi.fn(async () => new Response(body, { status })));
  const failure = () => api.models().then(() => undefined, asProblem);

  it("reads lists, also null ones", async () => {
    answers('{"items":null}', 200);
    expect(await api.models()).toEqual([]);
  });
  it("keeps detail, hint and places of a problem document", async () => {
    answers('{"status":400,"detail":"bad window","hint":"write sliding 7d","errors":[{"message":"m","location":"a.yaml:3"}]}', 400);
    expect(await failure()).toMatchObject({ status: 400, message: "bad window", hint: "write sliding 7d", details: [{ location: "a.yaml:3" }] });
  });
  it("makes something readable of other answers and of silence", async () => {
    answers("upstream gone\nstack…", 502);
    expect(await failure()).toMatchObject({ status: 502, message: "upstream gone" });
    vi.stubGlobal("fetch", vi.fn(async () => { throw new TypeError("failed to fetch"); }));
    expect(await failure()).toMatchObject({ status: 0, message: "Tidemill does not answer." });
  });
});

describe("addresses", () => {
  it("reads only names that a model can have", () => {
    expect(modelInHash("#/models/flight-delay")).toBe("flight-delay");
    for (const h of ["", "#/models/", "#/models/../x", "#/models/A b"]) expect(modelInHash(h)).toBe("");
  });
  it("takes the code out of a pasted link and never follows it elsewhere", () => {
    const here = "http://127.0.0.1:8080";
    expect(loginLink(" http://127.0.0.1:8080/login?code=a%2Fb ", here)).toBe("/login?code=a%2Fb");
    expect(loginLink("https://elsewhere.example/login?code=x", here)).toBe("/login?code=x");
    expect(loginLink("plain-token", here)).toBe("");
    expect(loginLink("http://127.0.0.1:8080/", here)).toBe("");
  });
});
