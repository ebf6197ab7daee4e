import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { megabitsPerSecond, mebibytes, micros, millis } from "#base/units.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import type { ApplianceSpec, CpuReservation, Ensemble, TeamSpec } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

const reservation = (executionMs: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(40_000),
  executionUs: micros(executionMs * 1000),
});

const team = (fields: Partial<TeamSpec>): TeamSpec => ({
  name: "encoders",
  policy: "round-robin",
  jobs: [["enc", "a"]],
  teams: [],
  ...fields,
});

const planOf = (ensemble: Ensemble) =>
  hostPlanBodies({
    ensembles: [sampleRecord(ensemble, {})],
    hosts: sampleHosts(),
    tunnels: new Map(),
    topology: sampleTopology(),
  }).get(hostId("a1"));

const web = (fields: Partial<ApplianceSpec>): ApplianceSpec => sampleAppliance("web", fields);

describe("plans of appliances", () => {
  it("carry reservation, enforcement, teams and suspension as adjusted", () => {
    const spec = web({
      cpu: reservation(16),
      enforcement: "dispatch-table",
      teams: [team({ cpu: reservation(8) })],
    });
    const ensemble = sampleEnsemble("shop", {
      appliances: [spec],
      adjustments: [{ appliance: "web", cpu: reservation(24), suspended: true }],
    });
    const [plan] = planOf(ensemble)?.appliances ?? [];
    assert.deepEqual(
      [plan?.cpu, plan?.enforcement, plan?.teams, plan?.suspended],
      [reservation(24), "dispatch-table", spec.teams, true],
    );
  });

  it("are a new generation for other programs of a team, not for its size, its policy, enforcement or suspension", () => {
    const generation = (fields: Partial<ApplianceSpec>) =>
      planOf(sampleEnsemble("shop", { appliances: [web({ cpu: reservation(16), ...fields })] }))
        ?.appliances[0]?.generation;
    const base = generation({ teams: [team({})] });
    assert.equal(generation({ teams: [team({ cpu: reservation(4), policy: "together" })] }), base);
    assert.equal(generation({ teams: [team({})], suspended: true, enforcement: "bandwidth" }), base);
    assert.equal(
      generation({ teams: [team({})], cpu: reservation(30), traffic: { serviceClass: "gold" } }),
      base,
    );
    assert.notEqual(generation({ teams: [team({ jobs: [["enc", "b"]] })] }), base);
    assert.notEqual(generation({ teams: [team({ teams: [team({ name: "inner" })] })] }), base);
    assert.notEqual(generation({}), base);
  });

  it("keep the generation of ensembles that know nothing of all this", () => {
    const plain = planOf(sampleEnsemble("shop", { appliances: [web({ memoryBytes: mebibytes(64) })] }));
    assert.equal(plain?.traffic, undefined);
    assert.equal(plain?.monitors, undefined);
    assert.deepEqual(
      Object.keys(plain?.appliances[0] ?? {}).filter((key) =>
        ["teams", "suspended", "enforcement"].includes(key),
      ),
      [],
    );
  });

  it("come with what all traffic of an appliance is promised, in the order of its class", () => {
    const traffic = { serviceClass: "silver", outBps: megabitsPerSecond(5) };
    const ensemble = sampleEnsemble("shop", {
      appliances: [
        web({ traffic }),
        sampleAppliance("bare"),
        sampleAppliance("off", { traffic, networks: [] }),
      ],
      serviceClasses: [{ name: "silver", priority: 2 }],
    });
    const plan = planOf(ensemble);
    const macs = plan?.appliances[0]?.interfaces.map(({ mac }) => mac);
    assert.deepEqual(plan?.traffic, [{ appliance: "shop/web", macs, outBps: 5e6, priority: 2 }]);
  });

  it("come with the monitors of appliances on the same host", () => {
    const ensemble = sampleEnsemble("shop", {
      appliances: [web({ replicas: 2 })],
      monitors: [
        { name: "video", appliance: "web-1", everyMs: millis(200), source: { kind: "rtp", port: 5004 } },
        { name: "other", appliance: "web-2", everyMs: millis(200), source: { kind: "rtp", port: 5004 } },
      ],
    });
    const bodies = hostPlanBodies({
      ensembles: [sampleRecord(ensemble, { "web-1": "a1", "web-2": "b1" })],
      hosts: sampleHosts(),
      tunnels: new Map(),
      topology: sampleTopology(),
    });
    const told = (host: string) =>
      bodies.get(hostId(host))?.monitors?.map(({ name, appliance }) => [name, appliance]);
    assert.deepEqual(told("a1"), [["video", "shop/web-1"]]);
    assert.deepEqual(told("b1"), [["other", "shop/web-2"]]);
    assert.equal(told("a2"), undefined);
  });
});
