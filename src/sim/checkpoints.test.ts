import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { CheckpointsRecord } from "#cluster/checkpoints.ts";
import { keys } from "#cluster/records.ts";
import { sampleTopology } from "#cluster/sample.ts";
import { blobsOfAll, chainOf } from "#model/checkpoint-chain.ts";
import { sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { storedRecords } from "#sim/checks/world-of.ts";
import { SimulatedCloud } from "#sim/cloud.ts";

const checkpoint = { everyMs: millis(1000), copies: 1, keep: 2 } as const;
const shop = sampleEnsemble("shop", { appliances: [sampleVm("db", { checkpoint })] });
const db = applianceId(shop.name, applianceName("db"));

async function running(seed: number): Promise<SimulatedCloud> {
  const cloud = new SimulatedCloud({ topology: sampleTopology(), seed });
  cloud.start();
  cloud.at(1000, () => void cloud.client.ask("up", "shop", (service, signal) => service.up(shop, signal)));
  await cloud.runUntil(8000);
  return cloud;
}

const whereOf = (cloud: SimulatedCloud): HostId | undefined => storedRecords(cloud)[0]?.placements[db];

const recordOf = (cloud: SimulatedCloud): CheckpointsRecord | undefined =>
  cloud.stored(keys.checkpoints(db))[0]?.value as CheckpointsRecord | undefined;

const executing = (cloud: SimulatedCloud): { host: HostId; beganFrom: string | undefined }[] =>
  [...cloud.machines].flatMap(([host, { appliances }]) =>
    [...appliances].flatMap((one) => (one.executes ? [{ host, beganFrom: one.beganFrom }] : [])),
  );

describe("a simulated checkpoint", () => {
  it("is taken by policy, with its copies on other hosts, and no more are kept than are wanted", async () => {
    const cloud = await running(1);
    const taken = recordOf(cloud)?.taken ?? [];
    const known = taken.map((one) => one.checkpoint);
    const newest = taken.at(-1);
    assert.ok(newest !== undefined);
    assert.equal(newest.copies.length, 2);
    assert.equal(newest.copies[0], whereOf(cloud));
    for (const host of newest.copies) {
      const blobs = cloud.contents.hosts.get(host)?.blobs;
      const chain = chainOf(newest.checkpoint.id, known) ?? [];
      assert.ok(chain.length >= 1);
      assert.ok(blobsOfAll(chain).every(({ digest }) => blobs?.has(digest) === true));
    }
    await cloud.runUntil(40_000);
    // Kept ones, and what they need below them.
    assert.ok((recordOf(cloud)?.taken.length ?? 0) <= 8, JSON.stringify(recordOf(cloud)?.taken.length));
  });

  it("is what a machine goes on from elsewhere when its host is lost", async () => {
    const cloud = await running(2);
    const host = whereOf(cloud);
    assert.ok(host !== undefined);
    cloud.inject({ kind: "power-loss", atMs: 8100, host, downForMs: 60_000 });
    await cloud.runUntil(8050);
    const known = recordOf(cloud)?.taken.map((one) => one.checkpoint.id) ?? [];
    await cloud.runUntil(30_000);
    const [now, ...others] = executing(cloud);
    assert.deepEqual(others, []);
    assert.notEqual(now?.host, host);
    assert.ok(known.slice(-1).includes(now?.beganFrom ?? ""), `${now?.beganFrom} of ${known.join()}`);
  });

  it("of a machine that is suspended to disk is what it goes on from, on another host too", async () => {
    const cloud = await running(3);
    const before = whereOf(cloud);
    const park = cloud.client.ask("suspend", "shop", (service, signal) =>
      service.suspendToDisk("shop", [], signal),
    );
    await cloud.runUntil(14_000);
    assert.equal(park.state, "answered");
    assert.deepEqual(executing(cloud), []);
    const parked = storedRecords(cloud)[0]?.parked?.[db];
    assert.equal(parked?.state, "on-disk");
    assert.ok([...cloud.machines.values()].every(({ appliances }) => [...appliances].length === 0));
    const to = [...cloud.machines.keys()].find((id) => id !== before && !id.startsWith("gw")) ?? "";
    cloud.client.ask("resume", "shop", (service, signal) => service.resumeOn("shop", to, [], signal));
    await cloud.runUntil(20_000);
    assert.deepEqual(executing(cloud), [
      { host: to, beganFrom: parked?.state === "on-disk" ? parked.checkpoint : "" },
    ]);
  });

  it("of a machine that is suspended to disk is the last of it, also when its host loses its power before that is known", async () => {
    const cloud = await running(3);
    const host = whereOf(cloud);
    assert.ok(host !== undefined);
    cloud.client.ask("suspend", "shop", (service, signal) => service.suspendToDisk("shop", [], signal));
    const isAsked = (): boolean => (cloud.storedPlan(host)?.checkpoints ?? []).length > 0;
    while (!isAsked()) await cloud.runUntil(cloud.nowMs + 1);
    cloud.inject({ kind: "pause", atMs: cloud.nowMs, process: "cluster/1", forMs: 3500 });
    while (executing(cloud).length > 0) await cloud.runUntil(cloud.nowMs + 1);
    const isTold = (): boolean => storedRecords(cloud)[0]?.parked?.[db]?.state !== "saving";
    cloud.inject({ kind: "power-loss", atMs: cloud.nowMs + 500, host, downForMs: 300 });
    while (!isTold()) {
      await cloud.runUntil(cloud.nowMs + 10);
      assert.deepEqual(executing(cloud), []);
    }
    assert.equal(storedRecords(cloud)[0]?.parked?.[db]?.state, "on-disk");
  });
});
