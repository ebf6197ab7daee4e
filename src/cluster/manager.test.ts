import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { hostId, operationId } from "#base/ids.ts";
import { bytes, mebibytes, megabitsPerSecond, milliCpu } from "#base/units.ts";
import { Cloud } from "#cluster/cloud.fixture.ts";
import { sampleHosts } from "#cluster/sample.ts";
import { fakePrograms } from "#drivers/appliance/fake.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import { clusterAddress, hostAddress, topics } from "#protocol/topics.ts";
import type { PlanReceipt } from "#protocol/topics.ts";

const clock = systemClock();
const never = new AbortController().signal;
const stays = fakePrograms.stays();

const shop = sampleEnsemble("shop", {
  appliances: [
    sampleAppliance("web", { command: stays, placement: { labels: {}, hosts: [hostId("a1")] } }),
    sampleAppliance("db", { command: stays, placement: { labels: {}, hosts: [hostId("a2")] } }),
  ],
  links: [sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(100) })],
});

describe("a cloud of real managers on fake drivers", () => {
  let cloud = new Cloud();
  afterEach(() => {
    cloud.stop();
    cloud = new Cloud();
  });

  it("brings an ensemble up where it belongs, with its link shaped on both hosts", async () => {
    await cloud.start();
    assert.equal((await cloud.up(shop)).state, "done");
    assert.deepEqual(cloud.running(), ["shop/db@a2", "shop/web@a1"]);
    assert.equal(cloud.networks.get("a1")?.shapedPairs[0]?.rateBps, 1e8);
    assert.equal(cloud.networks.get("a2")?.ports[0]?.interface.name, "eth0");
    assert.equal((await cloud.cluster.ensemble("shop", never)).state, "running");
  });

  it("refuses what the hosts cannot keep, says what is binding, and changes nothing", async () => {
    await cloud.start();
    const greedy = sampleEnsemble("greedy", {
      appliances: [sampleAppliance("hog", { memoryBytes: mebibytes(4096), command: stays })],
    });
    await assert.rejects(cloud.cluster.up(greedy, never), { code: "unsatisfiable", message: /hog|memory/i });
    assert.deepEqual(await cloud.cluster.ensembles(never), []);
    assert.deepEqual(cloud.running(), []);
  });

  it("brings up tasks and virtual machines on one network, and refuses a machine without image or KVM", async () => {
    await cloud.start();
    const db = sampleVm("db", {}, { command: stays });
    const mixed = sampleEnsemble("mixed", { appliances: [db, sampleAppliance("web", { command: stays })] });
    assert.equal((await cloud.up(mixed)).state, "done");
    const { appliances } = await cloud.cluster.ensemble("mixed", never);
    assert.deepEqual(
      appliances.map(({ name, kind, state }) => [name, kind, state]),
      [
        ["db", "vm", "running"],
        ["web", "task", "running"],
      ],
    );
    const other = (fields: Partial<typeof db>) =>
      sampleEnsemble("other", { appliances: [{ ...db, ...fields }] });
    await assert.rejects(cloud.cluster.up(other({ image: "debian" }), never), {
      code: "unsatisfiable",
      message:
        /^Cannot make other\/db: no image "debian" is in the catalogue; Build it \(consort image build\)/,
    });
    const kvm = other({ vm: { ...db.vm!, accel: "kvm" } });
    await assert.rejects(cloud.cluster.up(kvm, never), {
      code: "unsatisfiable",
      message: /Cannot place other\/db: no guest runs in KVM on any of these hosts, wanted accel: kvm/,
    });
    const planned = await cloud.cluster.plan(kvm, never);
    assert.match(planned.refusals[0]?.remedy ?? "", /Declare accel: auto/);
  });

  it("removes an ensemble to the last record", async () => {
    await cloud.start();
    await cloud.up(shop);
    const down = await cloud.ended(await cloud.cluster.down("shop", never));
    assert.equal(down.state, "done");
    while ((await cloud.cluster.ensembles(never)).length > 0) await clock.sleep(1 as never, never);
    assert.deepEqual(cloud.running(), []);
    assert.deepEqual(cloud.networks.get("a1"), { segments: [], ports: [], shapedPairs: [] });
    assert.deepEqual((await cloud.store.list("ensemble/", never)).entries, []);
  });

  it("changes a running ensemble without touching what stays the same", async () => {
    await cloud.start();
    await cloud.up(shop);
    const before = cloud.machines.get("a1")?.appliances.values().next().value?.startedAt;
    const share = { kind: "share", shareMilli: milliCpu(100), limitMilli: milliCpu(200) } as const;
    const changed = sampleEnsemble("shop", {
      ...shop,
      appliances: [
        ...shop.appliances,
        sampleAppliance("cache", { command: stays, cpu: share, memoryBytes: bytes(1 << 20) }),
      ],
      links: [],
    });
    assert.equal((await cloud.up(changed)).state, "done");
    assert.equal(cloud.running().length, 3);
    assert.equal(cloud.machines.get("a1")?.appliances.values().next().value?.startedAt, before);
    assert.deepEqual(cloud.networks.get("a1")?.shapedPairs, []);
  });

  it("loses nothing when the cluster manager dies right after it acknowledged", async () => {
    await cloud.start();
    const accepted = await cloud.cluster.up(shop, never);
    cloud.kill("cluster");
    await cloud.startCluster();
    assert.equal((await cloud.ended(accepted)).state, "done");
    assert.deepEqual(cloud.running(), ["shop/db@a2", "shop/web@a1"]);
  });

  it("places appliances as soon as it is back, before any host has told again that it is there", async () => {
    await cloud.start();
    for (const name of ["cluster", ...sampleHosts().keys()]) cloud.kill(name);
    await cloud.startCluster();
    assert.deepEqual(
      (await cloud.cluster.hosts(never)).map((host) => host.state),
      Array.from(sampleHosts().keys(), () => "converging"),
    );
    const accepted = await cloud.cluster.up(shop, never);
    for (const id of sampleHosts().keys()) cloud.startHost(id);
    assert.equal((await cloud.ended(accepted)).state, "done");
  });

  it("adopts what runs when a host manager was killed, and gives it what it missed", async () => {
    await cloud.start();
    await cloud.up(shop);
    cloud.kill("a1");
    const moreOnA1 = sampleEnsemble("more", {
      appliances: [
        sampleAppliance("late", { command: stays, placement: { labels: {}, hosts: [hostId("a1")] } }),
      ],
    });
    const accepted = await cloud.cluster.up(moreOnA1, never);
    cloud.startHost("a1");
    assert.equal((await cloud.ended(accepted)).state, "done");
    assert.deepEqual(cloud.running(), ["more/late@a1", "shop/db@a2", "shop/web@a1"]);
  });

  it("never obeys an older epoch", async () => {
    await cloud.start();
    await cloud.up(shop);
    const newest = cloud.plans.get("a1");
    assert.ok(newest);
    const stale: HostPlan = { ...newest, epoch: newest.epoch - 1, revision: 999, appliances: [] };
    const ghost = cloud.bus.connect("ghost");
    while (!ghost.present().includes(hostAddress("a1"))) await clock.sleep(1 as never, never);
    const receipt = (await ghost.request(hostAddress("a1"), topics.plan, stale, never)) as PlanReceipt;
    assert.deepEqual(receipt, { accepted: false, epoch: newest.epoch, revision: newest.revision });
    assert.deepEqual(cloud.running(), ["shop/db@a2", "shop/web@a1"]);
  });

  it("tells no host what another one may know", async () => {
    await cloud.start();
    const ghost = cloud.bus.connect("host/ghost");
    while (!ghost.present().includes(clusterAddress)) await clock.sleep(1 as never, never);
    await assert.rejects(
      ghost.request(clusterAddress, topics.secret, { host: "a1", name: "storage" }, never),
      { code: "forbidden", message: /asks for a1, not for itself/ },
    );
  });

  it("goes back to what was desired before when an up is cancelled", async () => {
    await cloud.start();
    await cloud.up(shop);
    cloud.kill("a1");
    const bigger = sampleEnsemble("shop", {
      ...shop,
      appliances: [
        ...shop.appliances,
        sampleAppliance("cache", { command: stays, placement: { labels: {}, hosts: [hostId("a1")] } }),
      ],
    });
    const accepted = await cloud.cluster.up(bigger, never);
    const cancelled = await cloud.cluster.cancel(operationId(accepted.id), never);
    assert.equal(cancelled.state, "cancelled");
    cloud.startHost("a1");
    while ((await cloud.cluster.ensemble("shop", never)).state !== "running")
      await clock.sleep(1 as never, never);
    assert.deepEqual(cloud.running(), ["shop/db@a2", "shop/web@a1"]);
    await assert.rejects(cloud.cluster.cancel(operationId(accepted.id), never), { code: "conflict" });
  });

  it("fails the operation of an appliance that ends badly, and says which", async () => {
    await cloud.start();
    const broken = sampleEnsemble("broken", {
      appliances: [
        sampleAppliance("bad", {
          command: fakePrograms.ends(3),
          restart: { when: "never", backoffMsMin: 1 as never, backoffMsMax: 1 as never },
        }),
      ],
    });
    const ended = await cloud.up(broken);
    assert.equal(ended.state, "failed");
    assert.match(ended.message, /broken\/bad/);
  });

  it("ends the operation of a crash loop with what the appliance said last", async () => {
    await cloud.start();
    const command = fakePrograms.ends(3);
    const looping = sampleEnsemble("looping", {
      appliances: [
        sampleAppliance("bad", {
          command,
          placement: { labels: {}, hosts: [hostId("a1")] },
          restart: { when: "always", backoffMsMin: 1 as never, backoffMsMax: 20 as never },
        }),
      ],
    });
    const accepted = await cloud.cluster.up(looping, never);
    const made = () => [...(cloud.machines.get("a1")?.appliances.values() ?? [])];
    while (made().length === 0) await clock.sleep(1 as never, never);
    for (const one of made()) one.output = "starting\nno such table: users\n\n";
    const ended = await cloud.ended(accepted);
    assert.equal(ended.state, "failed");
    assert.match(ended.message, /exit code 3; its last line: no such table: users$/);
    await cloud.ended(await cloud.cluster.down("looping", never));
  });

  it("tells events in order, and lets a reader resume after the last one it saw", async () => {
    await cloud.start();
    const from = cloud.cluster.lastCursor();
    await cloud.up(shop);
    const stop = new AbortController();
    const kinds: string[] = [];
    for await (const event of cloud.cluster.events(from, stop.signal)) {
      kinds.push(event.kind);
      if (event.kind === "operation.done") break;
    }
    assert.equal(kinds[0], "ensemble.up");
    assert.ok(kinds.includes("appliance.running"));
  });
});
