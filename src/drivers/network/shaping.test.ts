import assert from "node:assert/strict";
import { test } from "node:test";
import { ipv4Address, macAddress } from "#base/ids.ts";
import { megabitsPerSecond } from "#base/units.ts";
import type { ShapedPair, TrafficPlan } from "#protocol/host-plan.ts";
import { allOf, bestEffortMinor, minorMin, restOf, rootMinor } from "./class-numbers.ts";
import { exampleGuest, examplePlan, exampleShaped, exampleTraffic } from "./example-plan.ts";
import { portName } from "./names.ts";
import { noNumbers, wantedShaping } from "./shaping.ts";

const around = { mark: "cst", uplink: { interface: "uplink", bandwidthBps: megabitsPerSecond(1000) } };
const here = exampleGuest(1);
const alsoHere = exampleGuest(3);
const there = exampleGuest(2, "172.30.0.2");
const shape = (pairs: readonly ShapedPair[], traffic: readonly TrafficPlan[] = [], previous = noNumbers) =>
  wantedShaping({ ...examplePlan([here, alsoHere, there], pairs), traffic }, previous, around);
const wire = 1514 / 1464;
const pairText = (from = here, to = there): string => `${from.mac} . ${to.mac}`;
const bpsOf = (bytes: number | undefined): number => (bytes ?? 0) * 8;
const near = (value: number, wanted: number): void =>
  assert.ok(Math.abs(value - wanted) <= 16, `${value}, wanted ${wanted}`);

test("a pair to another host gets a class on the uplink, with room for the tunnel's headers", () => {
  const { classes, directions } = shape([exampleShaped(here, there, 100e6)]);
  const each = classes.get("uplink")?.get(minorMin);
  near(bpsOf(each?.rateBytes), 100e6 * wire);
  assert.equal(bpsOf(each?.ceilBytes), 0.99e9, "it may borrow up to what the host lets through");
  assert.equal(directions.get(pairText()), minorMin);
});

test("a pair within the host is shaped at the receiver's port, and only when it has a ceiling", () => {
  assert.deepEqual([...shape([exampleShaped(here, alsoHere, 100e6)]).classes.keys()], ["uplink"]);
  const { classes } = shape([exampleShaped(here, alsoHere, 100e6, 200e6)]);
  const [each] = classes.get(portName("cst", alsoHere.mac))?.values() ?? [];
  assert.equal(bpsOf(each?.ceilBytes), 200e6, "no tunnel, no headers");
});

test("a pair whose sender is elsewhere is shaped there", () => {
  const { classes, directions } = shape([exampleShaped(there, here, 100e6)]);
  assert.equal(directions.size, 0);
  assert.deepEqual([...(classes.get("uplink")?.keys() ?? [])], [rootMinor, bestEffortMinor]);
});

test("all that an appliance sends to other hosts is in its class, its pairs within", () => {
  const { classes, directions } = shape(
    [exampleShaped(here, there, 30e6)],
    [exampleTraffic(here, { out: 100e6, outCeiling: 200e6 }), exampleTraffic(alsoHere, { out: 50e6 }, 7)],
  );
  const uplink = classes.get("uplink");
  const all = uplink?.get(allOf(0));
  const rest = uplink?.get(restOf(0));
  const pair = uplink?.get(minorMin);
  assert.equal(all?.parent, rootMinor);
  assert.equal(rest?.parent, allOf(0));
  assert.equal(pair?.parent, allOf(0));
  near(bpsOf(all?.rateBytes), 100e6 * wire);
  near(bpsOf(rest?.rateBytes), 70e6 * wire);
  near(bpsOf(all?.ceilBytes), 200e6 * wire);
  near(bpsOf(pair?.ceilBytes), 200e6 * wire);
  assert.equal(rest?.priority, 0);
  assert.equal(pair?.priority, 0, "a pair is preferred as its appliance is");
  assert.equal(all?.queueBytes, undefined, "only classes without others below hold frames");
  assert.equal(uplink?.get(restOf(1))?.priority, 7);
  assert.equal(directions.get(pairText()), minorMin);
  assert.equal(directions.get(pairText(alsoHere, there)), restOf(1));
  assert.equal(
    directions.has(pairText(here, alsoHere)),
    false,
    "what stays on the host is not on the uplink",
  );
});

test("links that take more than their appliance was promised are kept all the same", () => {
  const { classes } = shape(
    [exampleShaped(here, there, 80e6)],
    [exampleTraffic(here, { out: 50e6, outCeiling: 60e6 })],
  );
  const all = classes.get("uplink")?.get(allOf(0));
  near(bpsOf(all?.rateBytes), 80e6 * wire + 8000);
  assert.ok((all?.ceilBytes ?? 0) >= (all?.rateBytes ?? 0));
});

test("what children of a class may always send is never more than the class may", () => {
  for (const out of [1e6, 100e6, 950e6]) {
    for (const link of [1e6, 90e6, 940e6]) {
      const { classes } = shape([exampleShaped(here, there, link)], [exampleTraffic(here, { out })]);
      const uplink = classes.get("uplink");
      const children = [restOf(0), minorMin].map((minor) => uplink?.get(minor)?.rateBytes ?? 0);
      const sum = children.reduce((total, each) => total + each, 0);
      assert.ok(sum <= (uplink?.get(allOf(0))?.rateBytes ?? 0) + 2, `${out} with a link of ${link}`);
    }
  }
});

test("what an appliance sends on all its networks is in one class", () => {
  const second = { ...here, mac: macAddress("02:c0:00:00:01:01"), address: ipv4Address("10.78.0.1") };
  const other = { ...there, mac: macAddress("02:c0:00:00:01:02"), address: ipv4Address("10.78.0.2") };
  const [one, two] = [examplePlan([here, there]), examplePlan([second, other])];
  const plan = {
    segments: [...one.segments, ...two.segments.map((each) => ({ ...each, vni: 0x52 }))],
    ports: [...one.ports, ...two.ports],
    shapedPairs: [],
    traffic: [{ ...exampleTraffic(here, { out: 50e6, in: 10e6 }), macs: [here.mac, second.mac] }],
  };
  const { directions, classes, arrivals } = wantedShaping(plan, noNumbers, around);
  assert.deepEqual(
    [...directions],
    [
      [pairText(here, there), restOf(0)],
      [pairText(second, other), restOf(0)],
    ],
  );
  assert.equal(classes.get("uplink")?.size, 4);
  assert.deepEqual([...(arrivals?.receivers.keys() ?? [])], [here.mac, second.mac]);
});

test("best effort without a promise has no class, any other service class has", () => {
  assert.equal(shape([], [exampleTraffic(here, {}, 7)]).classes.get("uplink")?.size, 2);
  const preferred = shape([], [exampleTraffic(here, {}, 3)])
    .classes.get("uplink")
    ?.get(restOf(0));
  assert.equal(preferred?.priority, 3);
  assert.equal(bpsOf(preferred?.rateBytes), 8000, "it lives on what it borrows");
});

test("an appliance that talks to no other host has no class", () => {
  const plan = examplePlan([here, alsoHere]);
  const { classes, arrivals } = wantedShaping(
    { ...plan, traffic: [exampleTraffic(here, { out: 1e6, in: 1e6 })] },
    noNumbers,
    around,
  );
  assert.equal(classes.get("uplink")?.size, 2);
  assert.equal(arrivals, undefined);
});

test("without a promise about what arrives, nothing that arrives is sorted", () => {
  const { arrivals, classes } = shape(
    [exampleShaped(here, there, 1e6)],
    [exampleTraffic(here, { out: 5e6 })],
  );
  assert.equal(arrivals, undefined);
  assert.equal(classes.has("cstifb"), false);
});

test("a ceiling on what arrives concerns nobody else's frames", () => {
  const { arrivals, classes } = shape(
    [exampleShaped(alsoHere, there, 1e6)],
    [exampleTraffic(here, { inCeiling: 20e6 }, 7), exampleTraffic(alsoHere, { out: 1e6 })],
  );
  assert.equal(arrivals?.everything, false);
  assert.deepEqual([...(arrivals?.receivers ?? [])], [[here.mac, restOf(0)]]);
  assert.equal(arrivals?.pairs.size, 0);
  assert.equal(bpsOf(classes.get("cstifb")?.get(restOf(0))?.ceilBytes), 20e6);
});

test("to guarantee what arrives, everything that arrives is sorted, and links keep what they were promised", () => {
  const { arrivals, classes } = shape(
    [exampleShaped(here, there, 10e6), exampleShaped(alsoHere, there, 40e6)],
    [exampleTraffic(here, { in: 100e6 })],
  );
  assert.equal(arrivals?.everything, true);
  const sorter = classes.get("cstifb");
  near(bpsOf(sorter?.get(rootMinor)?.rateBytes), 0.99e9 / wire);
  near(bpsOf(sorter?.get(allOf(0))?.rateBytes), 100e6);
  const within = sorter?.get(arrivals?.pairs.get(pairText(there, here)) ?? 0);
  assert.equal(within?.parent, allOf(0));
  near(bpsOf(within?.rateBytes), 10e6);
  const other = sorter?.get(arrivals?.pairs.get(pairText(there, alsoHere)) ?? 0);
  assert.equal(other?.parent, rootMinor);
  near(bpsOf(other?.rateBytes), 40e6);
});

test("a pair that becomes part of an appliance's class gets another number: the kernel cannot move classes", () => {
  const before = shape([exampleShaped(here, there, 10e6)]);
  const after = shape(
    [exampleShaped(here, there, 10e6)],
    [exampleTraffic(here, { out: 50e6 })],
    before.numbers,
  );
  assert.notEqual(after.directions.get(pairText()), before.directions.get(pairText()));
  const again = shape(
    [exampleShaped(here, there, 20e6)],
    [exampleTraffic(here, { out: 60e6 })],
    after.numbers,
  );
  assert.deepEqual(again.directions, after.directions, "and keeps it");
});
