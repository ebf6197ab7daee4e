import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { megabitsPerSecond } from "#base/units.ts";
import { exampleGuest, examplePlan, exampleShaped } from "./example-plan.ts";
import { portName } from "./names.ts";
import { assignNumbers, minorMin, uplinkFrame, wantedShaping } from "./shaping.ts";
import { shapingSteps } from "./shaping-executor.ts";

const around = { mark: "cst", uplink: { interface: "uplink", bandwidthBps: megabitsPerSecond(1000) } };
const here = exampleGuest(1);
const alsoHere = exampleGuest(3);
const there = exampleGuest(2, "172.30.0.2");
const shape = (...pairs: ReturnType<typeof exampleShaped>[]) =>
  wantedShaping(examplePlan([here, alsoHere, there], pairs), new Map(), around);

test("a pair to another host gets a class on the uplink, with room for the tunnel's headers", () => {
  const classes = shape(exampleShaped(here, there, 100e6)).classes.get("uplink");
  const [each] = classes?.values() ?? [];
  assert.equal((each?.rateBytes ?? 0) * 8, Math.ceil((100e6 * 1514) / 1464 / 8) * 8);
  assert.equal((each?.ceilBytes ?? 0) * 8, 0.99e9, "it may borrow up to what the host lets through");
});

test("a pair within the host is shaped at the receiver's port, and only when it has a ceiling", () => {
  assert.equal(shape(exampleShaped(here, alsoHere, 100e6)).classes.size, 0);
  const { classes } = shape(exampleShaped(here, alsoHere, 100e6, 200e6));
  const [each] = classes.get(portName("cst", alsoHere.mac))?.values() ?? [];
  assert.equal((each?.ceilBytes ?? 0) * 8, 200e6, "no tunnel, no headers");
});

test("a pair whose sender is elsewhere is shaped there", () => {
  assert.equal(shape(exampleShaped(there, here, 100e6)).numbers.size, 0);
});

test("pairs keep their numbers, and no number is given twice", () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 20 });
  fc.assert(
    fc.property(names, names, (before, after) => {
      const first = assignNumbers(before, new Map());
      const second = assignNumbers(after, first);
      for (const pair of after) {
        const kept = first.get(pair);
        const now = second.get(pair);
        assert.ok(now !== undefined && now >= minorMin);
        if (kept === undefined)
          assert.ok(![...first.values()].includes(now), "a number was used a moment ago");
        else assert.equal(now, kept);
      }
      assert.equal(new Set(second.values()).size, after.length);
    }),
  );
});

test("one changed rate is one step", () => {
  const frame = uplinkFrame(around.uplink.bandwidthBps);
  const before = new Map([
    ...frame,
    ...(shape(exampleShaped(here, there, 10e6)).classes.get("uplink") ?? []),
  ]);
  const after = new Map([...frame, ...(shape(exampleShaped(here, there, 20e6)).classes.get("uplink") ?? [])]);
  const { sets, drops } = shapingSteps(after, before, 2);
  assert.deepEqual(
    sets.map((step) => step.step),
    ["set"],
  );
  assert.deepEqual(drops, []);
});

test("classes nobody wants are dropped, and the hierarchy with the last of them", () => {
  const frame = uplinkFrame(around.uplink.bandwidthBps);
  const full = new Map([...frame, ...(shape(exampleShaped(here, there, 10e6)).classes.get("uplink") ?? [])]);
  assert.deepEqual(shapingSteps(frame, full, 2).drops, [{ step: "drop", minor: minorMin }]);
  assert.deepEqual(shapingSteps(undefined, full, 2), { sets: [], drops: [{ step: "drop-root" }] });
});
