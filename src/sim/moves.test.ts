import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName } from "#base/ids.ts";
import { sampleTopology } from "#cluster/sample.ts";
import { sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { storedRecords } from "#sim/checks/world-of.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { Fault } from "#sim/fault.ts";

const shop = sampleEnsemble("shop", { appliances: [sampleVm("db")] });
const db = applianceId(shop.name, applianceName("db"));
const moveMs = 4000;

async function moved(seed: number, faults: readonly Fault[]): Promise<SimulatedCloud> {
  const cloud = new SimulatedCloud({ topology: sampleTopology(), seed });
  cloud.onEvent(() => assert.ok(hostsOf(cloud).length <= 1, `it runs on ${hostsOf(cloud).join(" and ")}`));
  cloud.start();
  for (const fault of faults) cloud.inject(fault);
  cloud.at(1000, () => void cloud.client.ask("up", "shop", (service, signal) => service.up(shop, signal)));
  const migrate = (): void =>
    void cloud.client.ask("migrate", "shop", (service, signal) =>
      service.migrate("shop", { appliances: ["db"] }, signal),
    );
  cloud.at(moveMs, migrate);
  await cloud.runUntil(60_000);
  return cloud;
}

const hostsOf = (cloud: SimulatedCloud): string[] =>
  [...cloud.machines].flatMap(([host, machine]) =>
    [...machine.appliances].some(({ id, executes }) => id === db && executes) ? [host] : [],
  );

function checkSettled(cloud: SimulatedCloud): void {
  assert.equal(hostsOf(cloud).length, 1);
  assert.deepEqual(storedRecords(cloud)[0]?.moves ?? {}, {});
  for (const machine of cloud.machines.values()) {
    assert.deepEqual([...machine.moving], []);
    assert.equal([...machine.appliances].length, hostsOf(cloud)[0] === machine.host ? 1 : 0);
  }
}

describe("a simulated move", () => {
  it("takes a running machine to another host, and ends with nothing left of it where it was", async () => {
    const cloud = await moved(1, []);
    checkSettled(cloud);
    assert.ok(cloud.client.calls.every(({ state }) => state === "answered"));
    const revision = storedRecords(cloud)[0]?.revision;
    assert.equal(revision, 2);
  });

  it("ends with one running machine whichever process or host fails while it goes on", async () => {
    for (let seed = 0; seed < 24; seed += 1) {
      const atMs = moveMs + seed * 60;
      const host = ["a1", "a2", "b1", "b2"][seed % 4] ?? "a1";
      const fault: Fault =
        seed % 3 === 0
          ? { kind: "crash", atMs, process: "cluster/1", downForMs: 500 }
          : seed % 3 === 1
            ? { kind: "crash", atMs, process: `host/${host}`, downForMs: 500 }
            : { kind: "power-loss", atMs, host, downForMs: 12_000 };
      checkSettled(await moved(seed, [fault]));
    }
  });
});
