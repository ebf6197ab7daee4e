import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import { sampleRecord } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { isHopeless } from "#sim/checks/hopeless.ts";
import { sampleWorld } from "#sim/checks/world.fixture.ts";

describe("isHopeless()", () => {
  const large = sampleEnsemble("mail", {
    appliances: [sampleAppliance("box", { memoryBytes: mebibytes(800) })],
  });
  const record = { ...sampleRecord(large, {}), placements: {} };
  const world = { ...sampleWorld(), records: [record] };
  const closed = (...hosts: string[]) =>
    new Map(hosts.map((host) => [hostId(host), { fenced: false, scheduling: "cordoned" as const }]));

  it("says no while one host that takes appliances has room", () => {
    assert.equal(isHopeless(record, { ...world, standings: closed("a1", "a2", "b1") }), false);
  });

  it("says yes once others hold the room, or no host takes any", () => {
    const others = ["a1", "a2", "b1", "b2"].map((host) =>
      sampleRecord({ ...large, name: host as never }, { box: host }),
    );
    assert.equal(isHopeless(record, { ...world, records: [record, ...others] }), true);
    assert.equal(isHopeless(record, { ...world, standings: closed("a1", "a2", "b1", "b2") }), true);
  });
});
