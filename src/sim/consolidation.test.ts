import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { HostId } from "#base/ids.ts";
import { ClusterManager } from "#cluster/manager.ts";
import { sampleTopology } from "#cluster/sample.ts";
import { sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { storedRecords } from "#sim/checks/world-of.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { SimulationSettings } from "#sim/settings.ts";

const names = ["shop", "mail"];

/** A cloud that fills its hosts evenly, and then empties those that others have room for. */
function emptyingCloud(): SimulatedCloud {
  const policy = { placement: "spread", consolidate: true } as const;
  const settings: Partial<SimulationSettings> = {
    clusterManager: (parts) => new ClusterManager({ ...parts, policy }),
  };
  const cloud = new SimulatedCloud({ topology: sampleTopology(), seed: 1, settings });
  cloud.start();
  return cloud;
}

const hostsUsed = (cloud: SimulatedCloud): ReadonlySet<HostId> =>
  new Set(storedRecords(cloud).flatMap(({ placements }) => Object.values<HostId>(placements)));

describe("a cluster manager that empties hosts", () => {
  it("moves machines live, and those that would have to be stopped only once they can", async () => {
    const cloud = emptyingCloud();
    const begun = new Set<string>();
    cloud.onEvent(() => {
      for (const { appliances } of cloud.machines.values())
        for (const { id, begunAtMs } of appliances)
          if (begunAtMs !== undefined) begun.add(`${id} at ${begunAtMs}`);
    });
    const held = names.map((name) =>
      sampleEnsemble(name, { appliances: [sampleVm("db", {}, { suspended: true })] }),
    );
    for (const one of held)
      cloud.at(
        1000,
        () => void cloud.client.ask("up", one.name, (service, signal) => service.up(one, signal)),
      );
    await cloud.runUntil(30_000);
    assert.equal(hostsUsed(cloud).size, 2);
    for (const name of names)
      cloud.at(
        30_000,
        () => void cloud.client.ask("resume", name, (service, signal) => service.resume(name, [], signal)),
      );
    await cloud.runUntil(60_000);
    assert.ok(cloud.client.calls.every(({ state }) => state === "answered"));
    assert.equal(hostsUsed(cloud).size, 1);
    const running = [...cloud.machines.values()].flatMap(({ appliances }) => [...appliances]);
    assert.equal(running.length, 2);
    assert.ok(running.every(({ executes }) => executes));
    assert.equal(begun.size, 2, `begun: ${[...begun].join(", ")}`);
  });
});
