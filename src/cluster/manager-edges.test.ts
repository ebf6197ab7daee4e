import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { operationId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { bytes, milliCpu, millis } from "#base/units.ts";
import { ClusterManager } from "#cluster/manager.ts";
import { sampleHosts, sampleTopology } from "#cluster/sample.ts";
import { fakeBus } from "#drivers/messaging/fake.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { fakeStore } from "#drivers/store/fake.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { HostPlan } from "#protocol/host-plan.ts";
import type { Heartbeat, HostReport } from "#protocol/host-report.ts";
import { clusterAddress, hostAddress, topics } from "#protocol/topics.ts";
import type { ReportReceipt } from "#protocol/topics.ts";

const never = new AbortController().signal;
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A cluster manager, and hosts that take plans and never carry them out. */
class Desk {
  readonly clock = new ManualClock();
  readonly bus = fakeBus(silentLog);
  readonly store = fakeStore({ clock: this.clock, random: seededRandom(1), log: silentLog });
  readonly plans = new Map<HostId, HostPlan[]>();
  readonly #ends = new Map<HostId, Messaging>();
  readonly #life = new AbortController();
  manager!: ClusterManager;
  ended!: Promise<unknown>;

  async start(): Promise<void> {
    this.manager = new ClusterManager({
      clock: this.clock,
      random: seededRandom(2),
      log: silentLog,
      store: this.store,
      messaging: this.bus.connect(clusterAddress),
      solve: async (problem) => solveMapping(problem, { seed: 1 }),
      topology: sampleTopology("vxlan"),
    });
    await this.manager.start(this.#life.signal);
    this.ended = this.manager.run(this.#life.signal).then(
      () => "stopped",
      (cause: unknown) => cause,
    );
    for (const id of sampleHosts().keys()) {
      const end = this.bus.connect(hostAddress(id));
      this.#ends.set(id, end);
      this.plans.set(id, []);
      end.answer(topics.plan, async ({ body }) => {
        const plan = body as HostPlan;
        this.plans.get(id)?.push(plan);
        return { accepted: true, epoch: plan.epoch, revision: plan.revision };
      });
    }
    await settle();
    for (const id of sampleHosts().keys()) await this.tell(id, {});
    await settle();
  }

  async tell(id: HostId, fields: Partial<HostReport>): Promise<ReportReceipt> {
    const record = sampleHosts().get(id) ?? assert.fail(id);
    const { id: host, ...identity } = record;
    const newest = this.plans.get(id)?.at(-1);
    const report: HostReport = {
      ...identity,
      host,
      at: this.clock.now(),
      epoch: newest?.epoch ?? 0,
      acceptedRevision: newest?.revision ?? 0,
      convergedRevision: 0,
      appliances: [],
      pairs: [],
      pairsReadAt: millis(0),
      tunnels: [],
      usage: { cpuMilli: milliCpu(0), memoryBytes: bytes(0) },
      problems: [],
      ...fields,
    };
    return (await this.#ends.get(id)?.request(clusterAddress, topics.report, report, never)) as ReportReceipt;
  }

  async beat(host: HostId, mark: Heartbeat["mark"]): Promise<ReportReceipt> {
    const measured = { cpuUsedMs: [], memoryBytes: [], pairs: [], pairsReadAt: millis(0) };
    const usage = { cpuMilli: milliCpu(0), memoryBytes: bytes(0) };
    const heartbeat: Heartbeat = { host, mark, at: this.clock.now(), usage, ...measured };
    const end = this.#ends.get(host);
    return (await end?.request(clusterAddress, topics.heartbeat, heartbeat, never)) as ReportReceipt;
  }

  async vnis(): Promise<Map<string, number[]>> {
    const all = await this.manager.ensembles(never);
    return new Map(all.map((one) => [one.name, one.networks.map((network) => network.vni)]));
  }

  stop(): void {
    this.#life.abort(new Error("killed"));
  }
}

const onNetwork = (name: string, network: string, cpuShare = 100): Ensemble =>
  sampleEnsemble(name, {
    networks: [{ name: network }],
    appliances: [
      sampleAppliance("web", {
        networks: [network],
        cpu: { kind: "share", shareMilli: milliCpu(cpuShare), limitMilli: milliCpu(1000) },
        placement: { labels: {}, hosts: [[...sampleHosts().keys()][0] as HostId] },
      }),
    ],
  });

describe("a cluster manager", () => {
  it("ends when hosts obey a later epoch than its store knows of, and is above it when started again", async () => {
    const desk = new Desk();
    await desk.start();
    const later = { epoch: 9, acceptedRevision: 4 };
    await assert.rejects(desk.tell([...sampleHosts().keys()][0] as HostId, later), { code: "unavailable" });
    await settle();
    assert.match(String(await desk.ended), /hosts obey epoch 9/);
    await assert.rejects(desk.manager.up(onNetwork("shop", "lan"), never), { code: "unavailable" });
    const again = new Desk();
    Object.assign(again, { store: desk.store });
    await again.start();
    assert.equal((await desk.store.get("epoch", never))?.value, 10);
    again.stop();
  });

  it("ends when a host holds more of its epoch than it ever gave: a store before this one was lost", async () => {
    const desk = new Desk();
    await desk.start();
    const more = { epoch: 1, acceptedRevision: 40 };
    await assert.rejects(desk.tell([...sampleHosts().keys()][0] as HostId, more), { code: "unavailable" });
    assert.match(String(await desk.ended), /hosts obey epoch 1/);
  });

  it("gives nobody the network of a form that a cancel would bring back", async () => {
    const desk = new Desk();
    await desk.start();
    await desk.manager.up(onNetwork("shop", "first"), never);
    const changed = await desk.manager.up(onNetwork("shop", "second"), never);
    await desk.manager.up(onNetwork("other", "lan"), never);
    await desk.manager.cancel(operationId(changed.id), never);
    const vnis = await desk.vnis();
    assert.notDeepEqual(vnis.get("other"), vnis.get("shop"));
    desk.stop();
  });

  it("refuses to bring back by a cancel what others hold now", async () => {
    const desk = new Desk();
    await desk.start();
    await desk.manager.up(onNetwork("shop", "lan", 800), never);
    const smaller = await desk.manager.up(onNetwork("shop", "lan", 100), never);
    await desk.manager.up(onNetwork("other", "lan", 800), never);
    await assert.rejects(desk.manager.cancel(operationId(smaller.id), never), {
      code: "conflict",
      message: /^Cannot cancel: what was desired of shop before does not fit any more/,
    });
    assert.equal((await desk.manager.operation(operationId(smaller.id), never)).state, "running");
    desk.stop();
  });

  it("goes on when its store works again, and then keeps what hosts told meanwhile", async () => {
    const desk = new Desk();
    await desk.start();
    const commit = desk.store.commit.bind(desk.store);
    desk.store.commit = () => Promise.reject(new Error("disk full"));
    await assert.rejects(desk.manager.up(onNetwork("shop", "lan"), never), /disk full/);
    const host = [...sampleHosts().keys()][0] as HostId;
    await desk.tell(host, { labels: { disk: "ssd" } });
    await settle();
    desk.store.commit = commit;
    desk.clock.advance(limits.heartbeatMs);
    await settle();
    const status = (await desk.manager.hosts(never)).find((one) => one.id === host);
    assert.deepEqual(status?.labels, { disk: "ssd" });
    assert.equal((await desk.manager.up(onNetwork("shop", "lan"), never)).state, "running");
    desk.stop();
  });

  it("grants a lease for a heartbeat only if it has the report that it refers to", async () => {
    const desk = new Desk();
    await desk.start();
    const host = [...sampleHosts().keys()][0] as HostId;
    const stateNow = async () => (await desk.manager.hosts(never)).find(({ id }) => id === host)?.state;
    const older = (await desk.tell(host, {})).mark ?? assert.fail("not marked");
    const { mark = assert.fail("not marked") } = await desk.tell(host, {});
    // A silent manager grants no lease, and this one has slept with its hosts.
    const pass = async (): Promise<void> => {
      for (let waited = 0; waited < limits.hostSilenceMsMax; waited += limits.heartbeatMs / 5) {
        desk.clock.advance(millis(limits.heartbeatMs / 5));
        await settle();
      }
    };
    await pass();
    assert.equal(await stateNow(), "lost");
    const stale = [older, { ...mark, epoch: mark.epoch + 1 }, { ...mark, number: mark.number + 100 }];
    for (const one of stale) {
      const { leaseMs, mark: known } = await desk.beat(host, one);
      assert.deepEqual([leaseMs, known], [0, undefined]);
      assert.equal(await stateNow(), "lost");
    }
    const receipt = await desk.beat(host, mark);
    assert.ok(receipt.leaseMs > 0);
    assert.deepEqual(receipt.mark, mark);
    assert.notEqual(await stateNow(), "lost");
    desk.stop();
  });

  it("gives a host its plan again when it tells that it lost it, and only then", async () => {
    const desk = new Desk();
    await desk.start();
    await desk.manager.up(onNetwork("shop", "lan"), never);
    await settle();
    const host = [...sampleHosts().keys()][0] as HostId;
    const given = desk.plans.get(host)?.length ?? 0;
    await desk.tell(host, {});
    await settle();
    assert.equal(desk.plans.get(host)?.length, given);
    await desk.tell(host, { acceptedRevision: 0 });
    await settle();
    assert.equal(desk.plans.get(host)?.length, given + 1);
    desk.clock.advance(limits.heartbeatMs);
    desk.stop();
  });
});
