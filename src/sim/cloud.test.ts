import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { hostId } from "#base/ids.ts";
import { megabitsPerSecond } from "#base/units.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { sampleTopology } from "#cluster/sample.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { Operation } from "#protocol/http/operation.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { Call } from "#sim/cloud.ts";
import type { Fault } from "#sim/fault.ts";
import type { CloudDescription } from "#sim/settings.ts";

const shop = sampleEnsemble("shop", {
  appliances: [
    sampleAppliance("web", { placement: { labels: {}, hosts: [hostId("a1")] } }),
    sampleAppliance("db", { placement: { labels: {}, hosts: [hostId("a2")] } }),
  ],
  links: [sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(100) })],
});
const placedShop = ["shop/db@a2", "shop/web@a1"];

function cloudOf(seed: number, fields: Partial<CloudDescription> = {}): SimulatedCloud {
  const settings = { traceLinesKept: 100, freezesMessages: true, ...fields.settings };
  const cloud = new SimulatedCloud({ topology: sampleTopology("vxlan"), seed, ...fields, settings });
  cloud.startCluster("cluster/1");
  for (const host of cloud.machines.keys()) cloud.startHost(host);
  return cloud;
}

const executing = (cloud: SimulatedCloud): string[] =>
  [...cloud.machines.values()]
    .flatMap(({ host, appliances }) =>
      appliances.filter((one) => one.executes).map(({ id }) => `${id}@${host}`),
    )
    .sort();

const askUp = (cloud: SimulatedCloud): Call =>
  cloud.client.ask("up", "shop", (service, signal) => service.up(shop, signal));

/** With the shop up, and nothing left to do. */
async function withShop(seed = 1): Promise<SimulatedCloud> {
  const cloud = cloudOf(seed);
  await cloud.runUntil(3000);
  askUp(cloud);
  assert.ok(await cloud.runUntilQuiet(3000, 60_000));
  assert.deepEqual(executing(cloud), placedShop, cloud.traceLines().join("\n"));
  return cloud;
}

const someFaults: readonly Fault[] = [
  { atMs: 4000, kind: "crash", process: "host/a1", downForMs: 700 },
  { atMs: 5000, kind: "crash-at-call", process: "cluster/1", call: 9, effect: "done", downForMs: 900 },
  { atMs: 6000, kind: "noise", forMs: 2000, lost: 0.1, doubled: 0.1, delayMsMax: 200 },
  { atMs: 7000, kind: "power-loss", host: "a2", downForMs: 6000 },
  { atMs: 9000, kind: "pause", process: "cluster/1", forMs: 4500 },
  { atMs: 15_000, kind: "cut", from: "host/a1", to: "*", forMs: 3000 },
];

async function eventful(seed: number, run: (cloud: SimulatedCloud) => Promise<void>): Promise<string> {
  const cloud = cloudOf(seed);
  for (const fault of someFaults) cloud.inject(fault);
  cloud.at(3500, () => void askUp(cloud));
  await run(cloud);
  return cloud.traceFingerprint();
}

describe("a simulated cloud", () => {
  it("brings an ensemble up with the real managers, in virtual time", async () => {
    const cloud = await withShop();
    const [call] = cloud.client.calls;
    assert.equal(call?.state, "answered");
    const [record] = cloud.stored(keys.operation((call.answer as Operation).id));
    assert.ok(record);
    assert.equal((record.value as { operation: Operation }).operation.state, "done");
    assert.equal(cloud.networks.get(hostId("a1"))?.plan.shapedPairs[0]?.rateBps, 1e8);
    assert.equal(cloud.storedPlan(hostId("a2"))?.appliances[0]?.id, "shop/db");
  });

  it("runs the same for the same seed, to the last event, whatever the machine does meanwhile", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const whole = await eventful(7, (cloud) => cloud.runUntil(25_000));
    const disturbed = await eventful(7, async (cloud) => {
      let events = 0;
      cloud.onEvent(() => {
        events += 1;
        if (events % 1000 === 0) collect();
      });
      for (let untilMs = 0; untilMs <= 25_000; untilMs += 125) {
        await cloud.runUntil(untilMs);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    assert.equal(disturbed, whole);
    assert.notEqual(await eventful(8, (cloud) => cloud.runUntil(25_000)), whole);
  });

  it("runs tasks and virtual machines of one ensemble, and both go elsewhere when their host is lost", async () => {
    const cloud = cloudOf(3);
    const mixed = sampleEnsemble("shop", { appliances: [sampleVm("db"), sampleAppliance("web")] });
    await cloud.runUntil(3000);
    cloud.client.ask("up", "shop", (service, signal) => service.up(mixed, signal));
    assert.ok(await cloud.runUntilQuiet(3000, 60_000));
    const before = executing(cloud);
    assert.equal(before.length, 2, cloud.traceLines().join("\n"));
    const lost = before[0]!.slice("shop/db@".length);
    cloud.inject({ atMs: cloud.nowMs + 10, kind: "power-loss", host: lost, downForMs: 600_000 });
    await cloud.runUntil(cloud.nowMs + 60_000);
    const after = executing(cloud);
    assert.deepEqual(
      after.map((one) => one.split("@")[0]),
      ["shop/db", "shop/web"],
    );
    assert.ok(!after.some((one) => one.endsWith(`@${lost}`)), after.join());
  });

  it("begins with what a snapshot holds", async () => {
    const before = await withShop();
    const snapshot: CloudSnapshot = {
      format: "consort-snapshot/1",
      takenAtMs: 0,
      topology: sampleTopology("vxlan"),
      hosts: before.stored(keys.prefix.host).map((entry) => entry.value as CloudSnapshot["hosts"][0]),
      standings: {},
      ensembles: before.stored(keys.prefix.ensemble).map((entry) => entry.value as EnsembleRecord),
      tunnels: {},
      cpuUsedMilli: {},
    };
    const cloud = cloudOf(2, { snapshot });
    assert.ok(await cloud.runUntilTrue(() => executing(cloud).length === 2, 10_000));
    assert.deepEqual(executing(cloud), placedShop);
  });

  it("ends the run with what a listener throws, and names a fault's place that does not exist", async () => {
    const cloud = cloudOf(1);
    cloud.onEvent(({ atMs }) => {
      if (atMs > 50) throw new Error("violated");
    });
    await assert.rejects(cloud.runUntil(2000), { message: "violated" });
    const other = cloudOf(1);
    other.inject({ atMs: 10, kind: "crash", process: "host/none", downForMs: 1 });
    await assert.rejects(other.runUntil(100), { code: "not_found", message: /host\/none/ });
  });
});

describe("faults", () => {
  const state = (cloud: SimulatedCloud, process: string) => cloud.processes.get(process)?.state;

  it("crash: a host manager's appliances run on, and it is started again", async () => {
    const cloud = await withShop();
    const atMs = cloud.nowMs + 10;
    cloud.inject({ atMs, kind: "crash", process: "host/a1", downForMs: 1000 });
    await cloud.runUntil(atMs + 500);
    assert.equal(state(cloud, "host/a1"), "down");
    assert.deepEqual(executing(cloud), placedShop);
    await cloud.runUntil(atMs + 1500);
    assert.equal(state(cloud, "host/a1"), "up");
    assert.equal(cloud.processes.get("host/a1")?.incarnation, 2);
  });

  it("crash of the cluster manager: the user's call is lost, and what was kept is done later", async () => {
    const cloud = cloudOf(3);
    await cloud.runUntil(3000);
    const revision = cloud.storeRevision();
    const call = askUp(cloud);
    const isKept = (): boolean => cloud.stored(keys.prefix.ensemble).length > 0;
    assert.ok(await cloud.runUntilTrue(isKept, 5000));
    assert.ok(cloud.storeRevision() > revision);
    cloud.inject({ atMs: cloud.nowMs, kind: "crash", process: "cluster/1", downForMs: 500 });
    assert.ok(await cloud.runUntilQuiet(3000, 60_000));
    assert.equal(call.state, "lost");
    assert.deepEqual(executing(cloud), placedShop);
  });

  it("power-loss: nothing runs there, nothing is left in its kernel, its plan is still on its disk", async () => {
    const cloud = await withShop();
    const atMs = cloud.nowMs + 10;
    cloud.inject({ atMs, kind: "power-loss", host: "a2", downForMs: 2000 });
    await cloud.runUntil(atMs + 100);
    assert.deepEqual(executing(cloud), ["shop/web@a1"]);
    assert.equal(cloud.machines.get(hostId("a2"))?.powered, false);
    assert.deepEqual(cloud.networks.get(hostId("a2"))?.plan.segments, []);
    assert.ok(cloud.storedPlan(hostId("a2")));
    assert.ok(await cloud.runUntilQuiet(3000, atMs + 60_000));
    assert.deepEqual(executing(cloud), placedShop);
  });

  it("pause of a host manager beyond its lease: what is leased is held, and goes on with the manager", async () => {
    const cloud = await withShop();
    const atMs = cloud.nowMs + 10;
    cloud.inject({ atMs, kind: "pause", process: "host/a1", forMs: 3600 });
    await cloud.runUntil(atMs + 3500);
    assert.equal(state(cloud, "host/a1"), "paused");
    assert.deepEqual(executing(cloud), ["shop/db@a2"]);
    assert.ok(await cloud.runUntilTrue(() => executing(cloud).length === 2, atMs + 20_000));
    assert.deepEqual(executing(cloud), placedShop);
  });

  it("a machine whose clock runs too slowly holds its appliances later than others", async () => {
    const heldAfter = async (driftPpm: number): Promise<number> => {
      const cloud = await withShop();
      const atMs = cloud.nowMs + 1;
      cloud.inject({ atMs, kind: "clock-skew", place: "a1", jumpMs: 0, driftPpm, forMs: 20_000 });
      cloud.inject({ atMs, kind: "crash", process: "host/a1", downForMs: 20_000 });
      assert.ok(await cloud.runUntilTrue(() => !executing(cloud).includes("shop/web@a1"), atMs + 10_000));
      return cloud.nowMs - atMs;
    };
    const [right, slow] = [await heldAfter(0), await heldAfter(-200_000)];
    assert.ok(Math.abs(slow * 0.8 - right) < 2, `held after ${right} ms, by a slow clock after ${slow}`);
  });

  it("store-down and a full disk: a change is refused meanwhile, and nothing is kept of it", async () => {
    for (const fault of [
      { kind: "store-down", forMs: 2000 },
      { kind: "full-disk", place: "store", forMs: 2000 },
    ] as const) {
      const cloud = cloudOf(1);
      await cloud.runUntil(3000);
      cloud.inject({ ...fault, atMs: 3000 });
      let call: Call | undefined;
      cloud.at(3100, () => {
        call = askUp(cloud);
      });
      assert.ok(await cloud.runUntilTrue(() => (call?.state ?? "asked") !== "asked", 4900), fault.kind);
      assert.notEqual(call?.state, "answered", fault.kind);
      assert.deepEqual(cloud.stored(keys.prefix.ensemble), [], fault.kind);
    }
  });

  it("a slow disk: a plan is obeyed late", async () => {
    const cloud = cloudOf(1);
    await cloud.runUntil(3000);
    cloud.inject({ atMs: 3000, kind: "slow-disk", place: "a1", delayMs: 2000, forMs: 10_000 });
    const call = askUp(cloud);
    assert.ok(await cloud.runUntilTrue(() => cloud.storedPlan(hostId("a2"))?.appliances.length === 1, 4000));
    assert.equal(cloud.storedPlan(hostId("a1"))?.appliances.length ?? 0, 0);
    assert.ok(await cloud.runUntilTrue(() => cloud.storedPlan(hostId("a1"))?.appliances.length === 1, 8000));
    assert.equal(call.state, "answered");
  });

  it("a cluster manager that takes over is obeyed; the old one notices and leaves", async () => {
    const cloud = await withShop();
    cloud.startCluster("cluster/2");
    const isSuperseded = (): boolean => (cloud.processes.get("cluster/1")?.incarnation ?? 0) > 1;
    assert.ok(await cloud.runUntilTrue(isSuperseded, cloud.nowMs + 30_000));
    assert.ok(await cloud.runUntilQuiet(3000, cloud.nowMs + 60_000));
    assert.equal(cloud.processes.get("cluster/2")?.incarnation, 1);
    assert.deepEqual(executing(cloud), placedShop);
  });
});
