import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { hostId, operationId } from "#base/ids.ts";
import { mebibytes, micros } from "#base/units.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { fakePrograms } from "#drivers/appliance/fake.ts";
import type { CpuReservation } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

const never = new AbortController().signal;
const command = fakePrograms.stays();
const placement = { labels: {}, hosts: [hostId("a1")] };

const reservation = (executionMs: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(40_000),
  executionUs: micros(executionMs * 1000),
});

/** Together 100% of a1, whose capacity is one processor. */
const vod = sampleEnsemble("vod", {
  appliances: [
    sampleAppliance("streaming", { command, placement, cpu: reservation(24) }),
    sampleAppliance("transcoding", { command, placement, cpu: reservation(16), memoryBytes: mebibytes(64) }),
  ],
});

const sizes = (executionMs: number) => new Map([["streaming", { cpu: reservation(executionMs) }]]);

describe("adapting what runs", () => {
  let cloud = new Cloud();
  afterEach(() => {
    cloud.stop();
    cloud = new Cloud();
  });

  const running = (name: string) => cloud.machines.get("a1")?.appliances.get(`vod/${name}` as never);
  const status = async (name: string) =>
    (await cloud.cluster.ensemble("vod", never)).appliances.find((one) => one.name === name);

  it("moves CPU time in one change, in force on the host when the operation ends, without a restart", async () => {
    await cloud.start();
    await cloud.up(vod);
    const before = running("streaming");
    const ended = await cloud.ended(
      await cloud.cluster.resize(
        "vod",
        {
          sizes: new Map(),
          moves: [{ kind: "move-cpu", executionUs: micros(8000), from: "transcoding", to: "streaming" }],
        },
        never,
      ),
    );
    assert.deepEqual(
      [ended.state, ended.message, ended.progress],
      ["done", "in force", { done: 2, total: 2 }],
    );
    const plans = cloud.plans.get("a1")?.appliances.map(({ id, cpu }) => [id, cpu]);
    assert.deepEqual(plans, [
      ["vod/streaming", reservation(32)],
      ["vod/transcoding", reservation(8)],
    ]);
    assert.equal(running("streaming"), before, "the same machine, not a new one");
    const told = await status("streaming");
    assert.deepEqual([told?.reservation?.executionUs, told?.adjusted, told?.restarts], [32_000, true, 0]);
  });

  it("refuses what the host cannot keep, and changes nothing", async () => {
    await cloud.start();
    await cloud.up(vod);
    const { revision } = await cloud.cluster.ensemble("vod", never);
    await assert.rejects(cloud.cluster.resize("vod", { sizes: sizes(25), moves: [] }, never), {
      code: "unsatisfiable",
      message:
        /^Cannot resize vod: cannot reserve CPU on a1: it has 100%, wanted 102\.5% .*; at most 24ms\/40ms for vod\/streaming would fit there, or .*another host$/,
    });
    assert.equal((await cloud.cluster.ensemble("vod", never)).revision, revision);
    assert.equal((await cloud.cluster.declared("vod", never)).adjustments, undefined);
  });

  it("keeps adjustments through an up of the same file, a restart of the manager and an export", async () => {
    await cloud.start();
    await cloud.up(vod);
    await cloud.ended(await cloud.cluster.resize("vod", { sizes: sizes(20), moves: [] }, never));
    cloud.kill("cluster");
    await cloud.startCluster();
    assert.equal((await cloud.up(vod)).state, "done");
    const declared = await cloud.cluster.declared("vod", never);
    assert.deepEqual(declared.adjustments, [{ appliance: "streaming", cpu: reservation(20) }]);
    assert.equal((await cloud.up({ ...vod, adjustments: [] })).state, "done");
    assert.deepEqual((await status("streaming"))?.reservation?.executionUs, 24_000);
  });

  it("holds and lets go, and an up waits for nobody who is held", async () => {
    await cloud.start();
    await cloud.up(vod);
    const suspended = await cloud.ended(await cloud.cluster.suspend("vod", ["transcoding"], never));
    assert.deepEqual([suspended.state, suspended.progress], ["done", { done: 1, total: 1 }]);
    assert.equal((await status("transcoding"))?.state, "suspended");
    assert.equal((await cloud.up(vod)).state, "done");
    assert.equal((await status("transcoding"))?.state, "suspended");
    assert.equal((await cloud.ended(await cloud.cluster.resume("vod", [], never))).state, "done");
    assert.equal((await status("transcoding"))?.state, "running");
  });

  it("goes back to the size before when it is cancelled", async () => {
    await cloud.start();
    await cloud.up(vod);
    cloud.kill("a1");
    const accepted = await cloud.cluster.resize("vod", { sizes: sizes(20), moves: [] }, never);
    assert.equal((await cloud.cluster.cancel(operationId(accepted.id), never)).state, "cancelled");
    assert.equal((await cloud.cluster.declared("vod", never)).adjustments, undefined);
  });

  it("tells events what was changed from what to what", async () => {
    await cloud.start();
    await cloud.up(vod);
    await cloud.cluster.resize("vod", { sizes: sizes(20), moves: [] }, never);
    for await (const event of cloud.cluster.events(0, never)) {
      if (event.kind !== "ensemble.resize") continue;
      assert.match(event.message, /^resize accepted as revision 2: streaming 24ms of 40ms → 20ms of 40ms$/);
      break;
    }
  });
});
