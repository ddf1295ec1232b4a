import { describe, expect, it } from "vitest";
import * as f from "../src/words/format";

describe("figures", () => {
  it.each([[0, "0"], [9999, "9,999"], [10_000, "10k"], [48_210, "48.2k"], [999_499, "999k"], [999_600, "1M"], [1_234_567, "1.23M"], [2.5e9, "2.5G"]])(
    "short(%d) is %s", (n, want) => expect(f.short(n)).toBe(want));
  it.each([[0.48512, "0.485"], [12.345, "12.35"], [123.45, "123.5"], [1234.5, "1235"], [Number.NaN, "–"], [undefined, "–"]])(
    "metric(%s) is %s", (n, want) => expect(f.metric(n)).toBe(want));
  it("writes differences with a real minus", () => {
    expect(f.signed(-0.0124)).toBe("−0.012");
    expect(f.signed(0.002)).toBe("+0.002");
  });
  it.each([[-1, "0"], [0, "0"], [0.44, "0.4"], [12.4, "12"], [43_100, "43.1k"]])("rate(%d) is %s", (n, want) => expect(f.rate(n)).toBe(want));
  it.each([[0, "0%"], [0.00001, "<0.01%"], [0.0014, "0.14%"], [0.2534, "25.3%"], [1, "100%"]])("percent(%d) is %s", (n, want) =>
    expect(f.percent(n)).toBe(want));
});

describe("times", () => {
  it("writes event times in UTC and without a clock at midnight", () => {
    expect(f.eventTime("2001-01-28T21:40:10Z")).toBe("28 Jan 2001 21:40");
    expect(f.eventTime("2001-01-28T00:00:00Z")).toBe("28 Jan 2001");
    expect(f.eventDay("2001-01-28T21:40:10Z")).toBe("28 Jan 2001");
  });
  it("knows Go's zero time and nonsense", () => {
    for (const t of ["0001-01-01T00:00:00Z", "", undefined, "soon"]) expect(f.eventTime(t)).toBe("–");
  });
  it.each([[0.42, "0.4 s"], [45, "45 s"], [600, "10 min"], [7200, "2 h"], [3 * 86_400, "3 d"], [-4, "0 s"]])("span(%d) is %s", (n, want) =>
    expect(f.span(n)).toBe(want));
  it("says how long ago, also when the clocks differ a little", () => {
    const now = Date.parse("2026-01-01T00:10:00Z");
    expect(f.ago("2026-01-01T00:07:00Z", now)).toBe("3 min ago");
    expect(f.ago("2026-01-01T00:10:02Z", now)).toBe("just now");
    expect(f.between("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z")).toBe("–");
  });
});

describe("names", () => {
  it("turns camel and snake case into words", () => {
    expect(f.words("binaryClassification")).toBe("binary classification");
    expect(f.words("rolled_back")).toBe("rolled back");
    expect(f.metricName("auc")).toBe("AUC");
    expect(f.metricName("someLoss")).toBe("some loss");
  });
  it("sorts reasons by count, then name", () => {
    expect(f.byCount({ b: 1, a: 1, c: 9 })).toEqual([["c", 9], ["a", 1], ["b", 1]]);
    expect(f.byCount(null)).toEqual([]);
  });
});
