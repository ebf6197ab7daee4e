import assert from "node:assert/strict";
import { test } from "node:test";
import { exampleGuest, examplePlan, exampleShaped, exampleTraffic } from "./example-plan.ts";
import type { NetworkPlan } from "./port.ts";
import { changedPart } from "./rate-change.ts";

const here = exampleGuest(1);
const there = exampleGuest(2, "172.30.0.2");
const plan = (change: Partial<NetworkPlan> = {}): NetworkPlan => ({
  ...examplePlan([here, there], [exampleShaped(here, there, 10e6)]),
  traffic: [exampleTraffic(here, { out: 20e6 }, 3)],
  ...change,
});
const differ = (change: Partial<NetworkPlan>): boolean => changedPart(plan(), plan(change)) !== undefined;

test("plans with other rates differ in nothing else", () => {
  assert.ok(differ({}));
  assert.ok(differ({ shapedPairs: [exampleShaped(here, there, 30e6)] }));
  assert.ok(differ({ traffic: [exampleTraffic(here, { out: 5e6 }, 3)] }));
});

test("only what changes is worked out again, together with what shares a class with it", () => {
  const other = exampleGuest(3);
  const planOf = (first: number, second: number, promised: number): NetworkPlan => ({
    ...examplePlan(
      [here, other, there],
      [exampleShaped(here, there, first), exampleShaped(other, there, second)],
    ),
    traffic: [exampleTraffic(here, { out: promised }, 3)],
  });
  const part = (first: number, second: number, promised: number) => {
    const { shapedPairs = [], traffic = [] } =
      changedPart(planOf(1e6, 2e6, 9e6), planOf(first, second, promised)) ?? {};
    return [shapedPairs.map(({ rateBps }) => rateBps), traffic.map(({ outBps }) => outBps)];
  };
  assert.deepEqual(part(1e6, 2e6, 9e6), [[], []]);
  assert.deepEqual(part(1e6, 3e6, 9e6), [[3e6], []]);
  assert.deepEqual(part(4e6, 2e6, 9e6), [[4e6], [9e6]]);
  assert.deepEqual(part(1e6, 2e6, 7e6), [[1e6], [7e6]]);
});

test("a link's rate counts in both directions where arriving frames are sorted", () => {
  const planOf = (rate: number): NetworkPlan => ({
    ...examplePlan([here, exampleGuest(3), there], [exampleShaped(exampleGuest(3), there, rate)]),
    traffic: [exampleTraffic(here, { in: 5e6 })],
  });
  assert.deepEqual(changedPart(planOf(1e6), planOf(2e6)), planOf(2e6));
});

test("a class more or less is more than a rate", () => {
  assert.equal(differ({ shapedPairs: [] }), false);
  assert.equal(differ({ shapedPairs: [exampleShaped(there, here, 10e6)] }), false);
  assert.equal(differ({ shapedPairs: [exampleShaped(here, there, 10e6, 20e6)] }), false);
  assert.equal(differ({ traffic: [] }), false);
  assert.equal(differ({ traffic: [exampleTraffic(there, { out: 20e6 }, 3)] }), false);
  assert.equal(differ({ traffic: [exampleTraffic(here, { out: 20e6, in: 1e6 }, 3)] }), false);
  assert.equal(differ({ traffic: [exampleTraffic(here, { out: 20e6 }, 7)] }), false, "it may lose its class");
});

test("members, ports and segments are compared in full", () => {
  const other = examplePlan([here, exampleGuest(4, "172.30.0.2")]);
  assert.equal(differ({ segments: other.segments }), false);
  assert.equal(differ({ ports: [] }), false);
  assert.equal(differ({ ports: plan().ports.map((port) => ({ ...port, netns: "/run/netns/new" })) }), false);
});
