import assert from "node:assert/strict";
import { test } from "node:test";
import { nextSpoolStep, targets, withRequest } from "./demand.ts";
import type { Demand } from "./demand.ts";
import { layerLimits } from "./limits.ts";

const home = { kind: "home", sizeBytes: 1048576 } as const;
const swap = { kind: "swap", sizeBytes: 1048576 } as const;
const nothing: Demand = new Map();
const asked = (times: readonly number[], shape: typeof home | typeof swap = home): Demand =>
  times.reduce((demand, time) => withRequest(demand, shape, time), nothing);
const file = (
  key: string,
  name = `${key}-0.qcow2`,
  takenBytes = 1,
): { name: string; key: string; takenBytes: number } => ({
  name,
  key,
  takenBytes,
});

test("as many are wanted as were taken of late, and one more", () => {
  const demand = asked([0, 1, layerLimits.spoolDemandMs]);
  assert.deepEqual([...targets(demand, layerLimits.spoolDemandMs)], [["home-1048576", 3]]);
});

test("however many are taken, no more are kept than the limit", () => {
  const demand = asked(Array.from({ length: 100 }, (_, index) => index));
  assert.deepEqual([...targets(demand, 100).values()], [layerLimits.spoolPerShapeMax]);
  assert.ok((demand.get("home-1048576")?.askedMs.length ?? 0) <= layerLimits.spoolPerShapeMax);
});

test("what nobody asked for in a long time is given back", () => {
  const wanted = targets(asked([0]), layerLimits.spoolIdleMs);
  assert.equal(wanted.size, 0);
  assert.deepEqual(nextSpoolStep(wanted, [file("home-1048576")]), {
    kind: "remove",
    name: "home-1048576-0.qcow2",
  });
});

test("the shape that lacks most is made first, and nothing when all is there", () => {
  const wanted = new Map([
    ["home-1048576", 1],
    ["swap-1048576", 3],
  ]);
  assert.deepEqual(nextSpoolStep(wanted, []), { kind: "make", key: "swap-1048576" });
  const all = [file("home-1048576"), ...["a", "b", "c"].map((name) => file("swap-1048576", name))];
  assert.equal(nextSpoolStep(wanted, all), undefined);
});

test("nothing is made beyond the spool's budget", () => {
  const full = file("home-1048576", "big", layerLimits.spoolBytesMax);
  assert.equal(nextSpoolStep(new Map([["home-1048576", 2]]), [full]), undefined);
});
