import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { differences, unconverged } from "#sim/checks/converged.ts";
import { changed, emptyMachine, sampleWorld } from "#sim/checks/world.fixture.ts";
import type { World } from "#sim/checks/world.ts";

const world = sampleWorld();
const network = world.machines[0]?.network ?? emptyMachine(hostId("a1")).network;
const [record] = world.records;

const fabricated: Readonly<Record<string, readonly [World, RegExp]>> = {
  "an appliance that is not there": [changed(world, "a1", { appliances: [] }), /^shop\/web is not on a1$/],
  "an appliance that should not be there": [
    changed(world, "b1", {
      appliances: [...(world.machines[1]?.appliances ?? []), ...(world.machines[0]?.appliances ?? [])],
    }),
    /^shop\/web is on b1 and should not be$/,
  ],
  "an appliance that is held": [
    changed(world, "a1", { appliances: [{ id: "shop/web" as never, state: "fenced" }] }),
    /^shop\/web on a1 is fenced$/,
  ],
  "a network nobody is on": [
    changed(world, "gw-alpha", { network: { ...network, ports: [], shapedPairs: [] } }),
    /^gw-alpha: network shop\/lan is there and should not be$/,
  ],
  "a port that is missing": [
    changed(world, "a1", { network: { ...network, ports: [] } }),
    /^a1: port .* is missing$/,
  ],
  "a promise that is not shaped": [
    changed(world, "a1", { network: { ...network, shapedPairs: [] } }),
    /^a1: shaped pair .* 5000000 is missing$/,
  ],
  "a tunnel that is missing": [
    changed(world, "gw-beta", { tunnels: [] }),
    /^tunnel beta to alpha is missing$/,
  ],
  "a host still fenced": [
    { ...world, standings: new Map([[hostId("a1"), { fenced: true, scheduling: "open" }]]) },
    /^a1 is still fenced$/,
  ],
  "a record still being removed": [
    {
      ...world,
      records: [
        ...world.records,
        { ...record, ensemble: { ...record?.ensemble, name: "old" }, state: "removing" } as never,
      ],
    },
    /^old is still being removed$/,
  ],
  "a request for checkpoints that goes on": [
    { ...world, checkpointRequests: [{ id: "r-1", ensemble: "shop", state: "taking" } as never] },
    /^the request r-1 for checkpoints of shop goes on$/,
  ],
  "a machine that is still on its way to disk": [
    {
      ...world,
      records: [{ ...record, parked: { "shop/web": { state: "saving" } } } as never],
    },
    /^shop\/web is still being suspended to disk$/,
  ],
  "a machine that did not begin from what it was to begin from": [
    changed(world, "a1", { restores: new Map([["shop/web" as never, "c-1"]]) }),
    /^shop\/web on a1 was to begin from c-1$/,
  ],
  "an appliance without a host": [
    { ...world, machines: [], records: [{ ...record, placements: {}, interfaces: {} } as never] },
    /^shop\/web has no host$/,
  ],
};

describe("differences()", () => {
  it("finds none where all is as desired", () => assert.deepEqual(differences(world), []));

  for (const [what, [broken, message]] of Object.entries(fabricated)) {
    it(`finds ${what}`, () => assert.match(differences(broken)[0] ?? "", message));
  }

  it("accepts an appliance without a host only where there is no place for its ensemble", () => {
    const homeless = {
      ...world,
      machines: [],
      records: [{ ...record, placements: {}, interfaces: {} } as never],
    };
    assert.deepEqual(
      differences(homeless, () => true),
      [],
    );
    assert.equal(unconverged(homeless, () => false)?.invariant, "converged");
  });

  it("accepts a command that ended, as its policy lets it", () => {
    const ended = changed(world, "a1", {
      appliances: [{ id: "shop/web" as never, state: "exited" }],
    });
    assert.equal(unconverged(ended), undefined);
  });
});
