import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allFaultKinds } from "#sim/swarm/faults.ts";
import { makeCase, swarmProfile } from "#sim/swarm/make-case.ts";

const cases = Array.from({ length: 300 }, (_, seed) => makeCase(seed));

describe("makeCase()", () => {
  it("draws the same case from the same seed, and another one from another", () => {
    assert.deepEqual(makeCase(4711), makeCase(4711));
    assert.notDeepEqual(makeCase(4711), makeCase(4712));
  });

  it("draws every kind of fault and of step, and both sorts of cloud", () => {
    const drawn = new Set(cases.flatMap((one) => one.faults).map((fault) => fault.kind));
    assert.deepEqual([...drawn].sort(), [...allFaultKinds].sort());
    const steps = new Set(cases.flatMap((one) => one.steps).map((step) => step.kind));
    for (const kind of [
      "up",
      "down",
      "cancel",
      "cordon",
      "uncordon",
      "drain",
      "forget",
      "take-over",
      "resize",
      "suspend",
      "resume",
    ] as const)
      assert.ok(steps.has(kind), `no ${kind}`);
    assert.deepEqual(new Set(cases.map((one) => one.topology.sites.length)), new Set([1, 2]));
  });

  it("gives most seeds some kinds of fault and not others", () => {
    const kinds = cases.map((one) => new Set(one.faults.map((fault) => fault.kind)).size);
    assert.ok(kinds.filter((count) => count > 0 && count < allFaultKinds.length / 2).length > 150);
  });

  it("keeps to the kinds of its profile, in order of time", () => {
    const { faults, steps } = makeCase(7, { ...swarmProfile, kinds: ["crash"], faults: [20, 20] });
    assert.equal(faults.length, 20);
    assert.ok(faults.every((fault) => fault.kind === "crash"));
    for (const list of [faults, steps]) {
      const times = list.map((one) => one.atMs);
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      );
    }
  });

  it("empties hosts in some of the clouds, in which nothing else is different", () => {
    const share = cases.filter(({ policy }) => policy?.consolidate === true).length / cases.length;
    assert.ok(share > 0.15 && share < 0.35, `${share}`);
    const { policy, ...others } = makeCase(5, { ...swarmProfile, consolidations: 1 });
    assert.equal(policy?.consolidate, true);
    assert.deepEqual(others, makeCase(5, { ...swarmProfile, consolidations: 0 }));
  });

  it("names only processes and hosts there are", () => {
    for (const { topology, faults, steps } of cases) {
      const hosts = new Set<string>([...topology.hosts, ...topology.devices].map((one) => one.id));
      const clusters = steps.flatMap((step) => (step.kind === "take-over" ? [step.cluster] : ["cluster/1"]));
      const processes = new Set([...clusters, "cluster/1", ...[...hosts].map((host) => `host/${host}`)]);
      for (const fault of faults) {
        if ("process" in fault) assert.ok(processes.has(fault.process), fault.process);
        if ("host" in fault) assert.ok(hosts.has(fault.host), fault.host);
        if (fault.kind === "cut") assert.ok(processes.has(fault.from) || processes.has(fault.to));
      }
    }
  });
});
