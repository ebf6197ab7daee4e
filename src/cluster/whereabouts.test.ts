import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, hostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { sampleRecord } from "#cluster/sample.ts";
import { hostsOf, Whereabouts } from "#cluster/whereabouts.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

const [a1, a2, b1] = [hostId("a1"), hostId("a2"), hostId("b1")];

const recordOf = (name: string, web: string, client: string): EnsembleRecord =>
  sampleRecord(sampleEnsemble(name, { appliances: [sampleAppliance("web"), sampleAppliance("client")] }), {
    web,
    client,
  });

const webOf = ({ ensemble }: EnsembleRecord) => applianceId(ensemble.name, applianceName("web"));

describe("Whereabouts", () => {
  it("follow a record from host to host, and forget one that is gone", () => {
    const whereabouts = new Whereabouts();
    const [before, after] = [recordOf("shop", "a1", "a2"), recordOf("shop", "a2", "b1")];
    whereabouts.replace("shop", undefined, before);
    assert.deepEqual([[...whereabouts.on(a1)], [...whereabouts.on(a2)]], [[before], [before]]);
    whereabouts.replace("shop", before, after);
    const there = [a1, a2, b1].map((host) => [...whereabouts.on(host)]);
    assert.deepEqual(there, [[], [after], [after]]);
    whereabouts.replace("shop", after, undefined);
    assert.deepEqual(
      [a1, a2, b1].map((host) => [...whereabouts.on(host)]),
      [[], [], []],
    );
  });

  it("know who is unsettled: being removed, leaving a host, or without one that it may still have", () => {
    const whereabouts = new Whereabouts();
    const settled = recordOf("shop", "a1", "a2");
    const web = webOf(settled);
    const { [web]: _none, ...others } = settled.placements;
    const unsettled = (record: EnsembleRecord): boolean => {
      whereabouts.replace("shop", undefined, record);
      return whereabouts.unsettled().includes(record);
    };
    assert.equal(unsettled(settled), false);
    assert.equal(unsettled({ ...settled, state: "removing" }), true);
    assert.equal(unsettled({ ...settled, leaving: { [web]: [hostId("b1")] } }), true);
    assert.equal(unsettled({ ...settled, placements: others }), true);
    assert.equal(unsettled({ ...settled, placements: others, over: [web] }), false);
    assert.deepEqual(whereabouts.unsettled(), []);
  });

  it("know who may run somewhere without obeying a lease", () => {
    const whereabouts = new Whereabouts();
    const bound = recordOf("shop", "a1", "a2");
    const free = { ...bound, unleased: { [webOf(bound)]: [hostId("a1")] } };
    whereabouts.replace("shop", undefined, free);
    assert.deepEqual(whereabouts.unleased(), [free]);
    whereabouts.replace("shop", free, bound);
    assert.deepEqual(whereabouts.unleased(), []);
  });

  it("know who has a machine on disk, or one that goes on from a checkpoint", () => {
    const whereabouts = new Whereabouts();
    const plain = recordOf("shop", "a1", "a2");
    const parked = { ...plain, parked: {} };
    const restored = { ...plain, restores: {} };
    for (const record of [parked, restored]) {
      whereabouts.replace("shop", plain, record);
      assert.deepEqual(whereabouts.machinesKept(), [record]);
    }
    whereabouts.replace("shop", restored, plain);
    assert.deepEqual(whereabouts.machinesKept(), []);
  });
});

describe("hostsOf()", () => {
  it("names each host once", () => {
    assert.deepEqual(hostsOf(recordOf("shop", "a1", "a1")), ["a1"]);
    assert.deepEqual(hostsOf(recordOf("shop", "b1", "a1")), ["b1", "a1"]);
  });
});
