import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { bitsPerSecond, megabitsPerSecond, micros, millis } from "#base/units.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { fakePrograms } from "#drivers/appliance/fake.ts";
import type { CpuReservation, Ensemble, StrategyAction, StrategySpec } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { Event } from "#protocol/http/status.ts";
import { clusterAddress, hostAddress, topics } from "#protocol/topics.ts";

const never = new AbortController().signal;
const command = fakePrograms.stays();
const placement = { labels: {}, hosts: [hostId("a1")] };

const reservation = (executionMs: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(40_000),
  executionUs: micros(executionMs * 1000),
});

const move: StrategyAction = {
  kind: "move-cpu",
  executionUs: micros(8000),
  from: "transcoding",
  to: "streaming",
};

const strategy = (fields: Partial<StrategySpec>): StrategySpec => ({
  name: "more",
  when: { metric: "video.jitter", comparison: ">", threshold: 20 },
  forMs: millis(0),
  actions: [move],
  cooldownMs: millis(0),
  ...fields,
});

const vod = (strategies: readonly StrategySpec[], streamingMs = 24): Ensemble =>
  sampleEnsemble("vod", {
    appliances: [
      sampleAppliance("streaming", {
        command,
        placement,
        cpu: reservation(streamingMs),
        traffic: { serviceClass: "gold", outBps: megabitsPerSecond(5) },
      }),
      sampleAppliance("transcoding", {
        command,
        placement,
        cpu: reservation(16),
        traffic: { serviceClass: "best-effort", outBps: bitsPerSecond(4e6) },
      }),
    ],
    monitors: [
      { name: "video", appliance: "streaming", everyMs: millis(200), source: { kind: "rtp", port: 5004 } },
    ],
    strategies,
  });

describe("strategies", () => {
  let cloud = new Cloud();
  afterEach(() => {
    cloud.stop();
    cloud = new Cloud();
  });

  /** As a host's monitors tell, one sample after the other. */
  async function measure(value: number, atMs = 0, from = "a1"): Promise<void> {
    const samples = [
      {
        ensemble: ensembleName("vod"),
        monitor: "video",
        appliance: applianceId(ensembleName("vod"), applianceName("streaming")),
        metric: "jitter",
        value,
        atMs: millis(atMs),
      },
    ];
    const messaging = cloud.bus.connect(`${hostAddress(from)}/monitors`);
    while (!messaging.present().includes(clusterAddress)) await cloud.turn();
    await messaging.request(clusterAddress, topics.measurements, { host: hostId(from), samples }, never);
    cloud.bus.cut(`${hostAddress(from)}/monitors`);
  }

  async function nextEvent(kind: string, after = 0): Promise<Event> {
    for await (const event of cloud.cluster.events(after, never)) if (event.kind === kind) return event;
    return assert.fail("the events have ended");
  }

  const executionOf = (name: string) =>
    cloud.plans
      .get("a1")
      ?.appliances.flatMap(({ id, cpu }) =>
        id === `vod/${name}` && cpu?.kind === "reservation" ? cpu.executionUs : [],
      )[0];

  it("move what they are told to, in one commit that reaches the host, and say why", async () => {
    await cloud.start();
    await cloud.up(vod([strategy({})]));
    await measure(27);
    const event = await nextEvent("strategy.acted");
    assert.equal(event.subject, "vod/more");
    assert.equal(
      event.message,
      "video.jitter was above 20 ms, 27 ms now: move 8ms from transcoding to streaming (transcoding 16ms of 40ms → 8ms of 40ms; streaming 24ms of 40ms → 32ms of 40ms)",
    );
    while (executionOf("streaming") !== 32_000) await cloud.turn();
    assert.equal(executionOf("transcoding"), 8_000);
    const told = await cloud.cluster.ensemble("vod", never);
    assert.deepEqual(
      told.strategies?.map(({ name, when, acted, refused }) => [name, when, acted, refused]),
      [["more", "video.jitter > 20ms", 1, 0]],
    );
    assert.deepEqual(
      told.measurements?.map(({ metric, appliance, value, unit }) => [metric, appliance, value, unit]),
      [["video.jitter", "streaming", 27, "ms"]],
    );
  });

  it("record why a firing could do nothing, and change nothing", async () => {
    await cloud.start();
    await cloud.up(vod([strategy({ actions: [{ ...move, executionUs: micros(16_000) }] })]));
    await measure(27);
    const { message } = await nextEvent("strategy.refused");
    assert.match(
      message,
      /^video\.jitter was above .*, but nothing could be done: transcoding has 16ms of 40ms.*nothing/,
    );
    assert.equal((await cloud.cluster.declared("vod", never)).adjustments, undefined);
    assert.equal((await cloud.cluster.ensemble("vod", never)).strategies?.[0]?.refused, 1);
    for (const atMs of [200, 400, 600]) await measure(30, atMs);
    const refused = async () => (await cloud.cluster.ensemble("vod", never)).strategies?.[0]?.refused;
    while ((await refused()) !== 4) await cloud.turn();
    await cloud.up(vod([strategy({ actions: [{ kind: "suspend", appliance: "transcoding" }] })]));
    await measure(31, 800);
    const { cursor } = await nextEvent("strategy.acted");
    const told: string[] = [];
    for await (const event of cloud.cluster.events(0, never)) {
      if (event.kind === "strategy.refused") told.push(event.message);
      if (event.cursor === cursor) break;
    }
    assert.deepEqual(told, [message], "it is told once, and counted after that");
  });

  it("are not fired by who is not there, nor by a host the appliance is not on", async () => {
    await cloud.start();
    await cloud.up(vod([strategy({})]));
    await measure(27, 0, "b1");
    await measure(19, 0);
    await measure(27, 200);
    const event = await nextEvent("strategy.acted");
    assert.match(event.message, /27 ms now/);
    assert.equal((await cloud.cluster.ensemble("vod", never)).strategies?.[0]?.acted, 1);
  });

  it("are plugged in, changed and unplugged by up, without a restart of what runs", async () => {
    await cloud.start();
    await cloud.up(vod([]));
    const before = cloud.machines.get("a1")?.appliances.get("vod/streaming" as never);
    await measure(27);
    await cloud.up(vod([strategy({ actions: [{ kind: "suspend", appliance: "transcoding" }] })]));
    await measure(27, 200);
    assert.match(
      (await nextEvent("strategy.acted")).message,
      /suspend transcoding \(transcoding running → suspended\)$/,
    );
    while ((await cloud.cluster.ensemble("vod", never)).appliances[1]?.state !== "suspended")
      await cloud.turn();
    assert.equal(cloud.machines.get("a1")?.appliances.get("vod/streaming" as never), before);
    assert.equal((await cloud.up(vod([]))).state, "done");
    assert.equal((await cloud.cluster.ensemble("vod", never)).strategies, undefined);
  });

  it("run programs inside appliances, and tell how they ended", async () => {
    await cloud.start();
    const run: StrategyAction = { kind: "run", appliance: "streaming", command: ["fewer", "streams"] };
    await cloud.up(vod([strategy({ actions: [run] })]));
    await measure(27);
    assert.match((await nextEvent("strategy.acted")).message, /run fewer in streaming/);
    assert.match(
      (await nextEvent("strategy.ran")).message,
      /^fewer in vod\/streaming (ended with code|failed)/,
    );
  });

  it("are not undone by a resize that is cancelled", async () => {
    await cloud.start();
    const hold: StrategyAction = { kind: "suspend", appliance: "transcoding" };
    await cloud.up(vod([strategy({ actions: [hold] })]));
    cloud.kill("a1");
    const sizes = new Map([["streaming", { cpu: reservation(20) }]]);
    const resizing = await cloud.cluster.resize("vod", { sizes, moves: [] }, never);
    await measure(27);
    await nextEvent("strategy.acted");
    assert.equal((await cloud.cluster.cancel(resizing.id as never, never)).state, "cancelled");
    assert.deepEqual((await cloud.cluster.declared("vod", never)).adjustments, [
      { appliance: "transcoding", suspended: true },
    ]);
  });

  it("leave an operation that runs as it is", async () => {
    await cloud.start();
    await cloud.up(vod([strategy({})]));
    cloud.kill("a1");
    const accepted = await cloud.cluster.up(vod([strategy({})], 20), never);
    await measure(27);
    await nextEvent("strategy.acted");
    assert.equal((await cloud.cluster.operation(accepted.id as never, never)).state, "running");
    cloud.startHost("a1");
    assert.equal((await cloud.ended(accepted)).state, "done");
    assert.equal(executionOf("streaming"), 28_000);
  });
});
