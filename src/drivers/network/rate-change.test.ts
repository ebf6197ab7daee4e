import assert from "node:assert/strict";
import { test } from "node:test";
import { exampleGuest, examplePlan, exampleShaped, exampleTraffic } from "./example-plan.ts";
import type { NetworkPlan } from "./port.ts";
import { onlyRatesDiffer } from "./rate-change.ts";

const here = exampleGuest(1);
const there = exampleGuest(2, "172.30.0.2");
const plan = (change: Partial<NetworkPlan> = {}): NetworkPlan => ({
  ...examplePlan([here, there], [exampleShaped(here, there, 10e6)]),
  traffic: [exampleTraffic(here, { out: 20e6 }, 3)],
  ...change,
});
const differ = (change: Partial<NetworkPlan>): boolean => onlyRatesDiffer(plan(), plan(change));

test("plans with other rates differ in nothing else", () => {
  assert.ok(differ({}));
  assert.ok(differ({ shapedPairs: [exampleShaped(here, there, 30e6)] }));
  assert.ok(differ({ traffic: [exampleTraffic(here, { out: 5e6 }, 0)] }));
});

test("a class more or less is more than a rate", () => {
  assert.equal(differ({ shapedPairs: [] }), false);
  assert.equal(differ({ shapedPairs: [exampleShaped(there, here, 10e6)] }), false);
  assert.equal(differ({ shapedPairs: [exampleShaped(here, there, 10e6, 20e6)] }), false);
  assert.equal(differ({ traffic: [] }), false);
  assert.equal(differ({ traffic: [exampleTraffic(there, { out: 20e6 }, 3)] }), false);
  assert.equal(differ({ traffic: [exampleTraffic(here, { out: 20e6, in: 1e6 }, 3)] }), false);
  assert.equal(differ({ traffic: [exampleTraffic(here, { out: 20e6 }, 7)] }), false);
});

test("members, ports and segments are compared in full", () => {
  const other = examplePlan([here, exampleGuest(4, "172.30.0.2")]);
  assert.equal(differ({ segments: other.segments }), false);
  assert.equal(differ({ ports: [] }), false);
  assert.equal(differ({ ports: plan().ports.map((port) => ({ ...port, netns: "/run/netns/new" })) }), false);
});
