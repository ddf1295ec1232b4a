import { describe, expect, it } from "vitest";
import { markersOf, metricsIn, nearestMarker, seconds, seriesOf, summary, within } from "../src/chart/markers";
import { sparkPaths } from "../src/chart/spark";
import type { Cycle, MetricPoint } from "../src/types";

const cycle = (number: number, outcome: string, eventTime: string) => ({ number, cycle: `m-${number}`, outcome, eventTime }) as Cycle;
const point = (from: string, to: string, metrics: Record<string, number> | null) => ({ from, to, rows: 1, version: "1", metrics }) as MetricPoint;

describe("markers", () => {
  const all = markersOf([
    cycle(3, "failed", "2001-02-03T00:00:00Z"), cycle(1, "promoted", "2001-02-01T00:00:00Z"), cycle(4, "", "2001-02-04T00:00:00Z"),
    cycle(5, "superseded", "2001-02-04T00:00:00Z"), cycle(2, "rejected", "0001-01-01T00:00:00Z"),
  ]);
  it("marks the ends that have a place on the axis, in order", () => {
    expect(all.map((m) => m.cycle.number)).toEqual([1, 3]);
  });
  it("finds the nearest within reach; of two at one place the later", () => {
    const at = (x: number, outcome = "promoted", number = x) => ({ at: x, outcome, cycle: cycle(number, outcome, "") });
    const px = (x: number) => x;
    expect(nearestMarker([at(10), at(14)], 11, px)).toBe(0);
    expect(nearestMarker([at(10), at(14)], 13, px)).toBe(1);
    expect(nearestMarker([at(10), at(10, "failed", 2)], 10, px)).toBe(1);
    expect(nearestMarker([at(10)], 30, px)).toBe(-1);
  });
  it("knows which cycles fall into a bucket", () => {
    expect(within(all, point("2001-02-01T00:00:00Z", "2001-02-03T00:00:00Z", {})).map((m) => m.cycle.number)).toEqual([1]);
  });
});

describe("series", () => {
  const points = [
    point("2001-02-08T00:00:00Z", "2001-02-15T00:00:00Z", { logloss: 0.5, auc: 0.6 }),
    point("2001-02-01T00:00:00Z", "2001-02-08T00:00:00Z", null),
    point("2001-02-15T00:00:00Z", "2001-02-22T00:00:00Z", { logloss: 0.4 }),
  ];
  it("is in order of time, with gaps where there is no figure", () => {
    const s = seriesOf(points, "logloss");
    expect(s.y).toEqual([null, 0.5, 0.4]);
    expect(s.x[0]).toBe(seconds("2001-02-04T12:00:00Z"));
    expect([...s.x].sort((a, b) => a - b)).toEqual(s.x);
  });
  it("offers the primary metric first, even before it has figures", () => {
    expect(metricsIn(points, "logloss")).toEqual(["logloss", "auc"]);
    expect(metricsIn([], "mae")).toEqual(["mae"]);
  });
  it("says in words which way it goes", () => {
    const write = (v: number) => v.toFixed(1);
    expect(summary(seriesOf(points, "logloss"), "logloss", "logloss", [], write)).toContain("from 0.5 to 0.4 (better)");
    expect(summary(seriesOf(points, "auc"), "AUC", "auc", [], write)).toContain("unchanged");
    expect(summary({ x: [], y: [] }, "AUC", "auc", [], write)).toBe("AUC: no figures yet.");
  });
});

describe("sparkPaths", () => {
  it("draws from the right edge and scales to the peak", () => {
    const s = sparkPaths([{ accepted: 0, quarantined: 0 }, { accepted: 10, quarantined: 5 }], 119, 21, 120);
    expect(s.peak).toBe(10);
    expect(s.accepted).toBe("M118.0,21L118.0,21.0L119.0,1.0L119.0,21Z");
    expect(s.quarantined).toBe("M119.0,21V11.0");
    expect(sparkPaths([], 100, 20)).toMatchObject({ accepted: "", quarantined: "" });
  });
});
