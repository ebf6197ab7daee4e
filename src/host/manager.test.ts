import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId, ipv4Address, siteName } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { bytes, mebibytes, megabitsPerSecond, micros, milliCpu, millis } from "#base/units.ts";
import { FakeApplianceDriver, fakeMachine, fakePrograms } from "#drivers/appliance/fake.ts";
import { fakeBus } from "#drivers/messaging/fake.ts";
import { noSegments } from "#drivers/network/none.ts";
import { silentLog } from "#drivers/system/log.ts";
import { HostManager } from "#host/manager.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import type { GuestUsage, Heartbeat, HostReport, ReportMark } from "#protocol/host-report.ts";
import { clusterAddress, hostAddress, topics } from "#protocol/topics.ts";
import type { PlanReceipt, ReportReceipt } from "#protocol/topics.ts";

const never = new AbortController().signal;
const web = applianceId(ensembleName("shop"), applianceName("web"));

const appliance: AppliancePlan = {
  id: web,
  kind: "task",
  generation: "g1",
  command: fakePrograms.stays(),
  env: {},
  files: [],
  restart: { when: "always", backoffMsMin: millis(1), backoffMsMax: millis(1) },
  stopGraceMs: millis(0),
  interfaces: [],
};

const reserved = (milli: number): Pick<AppliancePlan, "cpu"> => ({
  cpu: { kind: "reservation", periodUs: micros(100_000), executionUs: micros(milli * 100) },
});

const plan = (epoch: number, revision: number, ...appliances: AppliancePlan[]): HostPlan => ({
  host: hostId("a1"),
  epoch,
  revision,
  appliances,
  segments: [],
  shapedPairs: [],
  tunnels: [],
});

/** One host manager and, at the other end of the bus, a cluster manager that only listens. */
class Desk {
  readonly clock = new ManualClock();
  readonly bus = fakeBus(silentLog);
  readonly machine = fakeMachine();
  readonly cluster = this.bus.connect(clusterAddress);
  readonly reports: HostReport[] = [];
  readonly heartbeats: Heartbeat[] = [];
  readonly appliances = new FakeApplianceDriver(this.clock, this.machine);
  readonly #life = new AbortController();
  kept: HostPlan | undefined;
  /** What the guests here do. */
  guests: Readonly<Record<string, GuestUsage>> = {};
  save = async (one: HostPlan): Promise<void> => {
    this.kept = one;
  };
  /** Leases are granted for this long. */
  leaseMs = limits.leaseMs;
  /** What the cluster manager says that it has; undefined: nothing. */
  mark: ReportMark | undefined;
  answer = (): Promise<ReportReceipt> =>
    Promise.resolve({
      epoch: this.kept?.epoch ?? 0,
      leaseMs: this.leaseMs,
      heartbeatMs: limits.heartbeatMs,
      ...(this.mark === undefined ? {} : { mark: this.mark }),
    });

  async start(): Promise<void> {
    this.cluster.answer(topics.report, ({ body }) => {
      this.reports.push(body as HostReport);
      return this.answer();
    });
    this.cluster.answer(topics.heartbeat, ({ body }) => {
      this.heartbeats.push(body as Heartbeat);
      return this.answer();
    });
    const manager = new HostManager({
      identity: {
        host: hostId("a1"),
        site: siteName("alpha"),
        role: "host",
        address: ipv4Address("172.30.1.11"),
        siteSubnet: "172.30.1.0/24",
        capacity: {
          cpuMilli: milliCpu(1000),
          memoryBytes: mebibytes(1024),
          uplinkBps: megabitsPerSecond(1000),
        },
        labels: {},
      },
      clock: this.clock,
      log: silentLog,
      messaging: this.bus.connect(hostAddress("a1")),
      appliances: this.appliances,
      network: noSegments,
      guests: { read: () => this.guests },
      keeper: { load: async () => this.kept, save: (one) => this.save(one) },
    });
    void manager.run(this.#life.signal).catch(() => {});
    await this.settle();
  }

  give(one: HostPlan): Promise<PlanReceipt> {
    return this.cluster.request(hostAddress("a1"), topics.plan, one, never) as Promise<PlanReceipt>;
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(millis(ms));
    await this.settle();
  }

  get last(): HostReport {
    return this.reports.at(-1) ?? assert.fail("nothing was reported");
  }

  stop(): void {
    this.#life.abort(new Error("killed"));
  }
}

describe("HostManager", () => {
  let desk = new Desk();
  afterEach(() => {
    desk.stop();
    desk = new Desk();
  });

  it("acknowledges a plan, and tells that it matches it, only when it would outlive this process", async () => {
    await desk.start();
    const disk = Promise.withResolvers<void>();
    desk.save = () => disk.promise;
    const receipt = desk.give(plan(1, 1, appliance));
    await desk.settle();
    assert.equal(desk.machine.appliances.get(web), undefined, "what is not durable is not obeyed");
    assert.deepEqual([desk.last.epoch, desk.last.acceptedRevision, desk.last.convergedRevision], [0, 0, 0]);
    disk.resolve();
    assert.equal((await receipt).accepted, true);
    await desk.settle();
    assert.deepEqual([desk.last.epoch, desk.last.acceptedRevision, desk.last.convergedRevision], [1, 1, 1]);
  });

  it("acknowledges nothing while the disk is full, and takes the plan when it is given again", async () => {
    await desk.start();
    const { save } = desk;
    desk.save = () => Promise.reject(new Error("disk full"));
    await assert.rejects(desk.give(plan(1, 1, appliance)), { message: "disk full" });
    await desk.pass(limits.heartbeatMs);
    assert.equal(desk.last.acceptedRevision, 0);
    desk.save = save;
    assert.equal((await desk.give(plan(1, 1, appliance))).accepted, true);
    assert.equal(desk.kept?.revision, 1);
  });

  it("obeys revision 1 of a later epoch after revision 7 of an earlier one, and never the other way round", async () => {
    desk.kept = plan(3, 7, appliance);
    await desk.start();
    assert.deepEqual([desk.last.epoch, desk.last.acceptedRevision], [3, 7]);
    assert.deepEqual(await desk.give(plan(2, 99)), { accepted: false, epoch: 3, revision: 7 });
    assert.equal((await desk.give(plan(4, 1, appliance))).accepted, true);
    await desk.settle();
    assert.deepEqual([desk.last.epoch, desk.last.acceptedRevision, desk.last.convergedRevision], [4, 1, 1]);
    assert.equal((await desk.give(plan(3, 8))).accepted, false);
    assert.equal(desk.kept?.epoch, 4);
  });

  it("keeps what runs running without a cluster manager, from the plan it kept", async () => {
    desk.kept = plan(1, 1, appliance);
    desk.bus.cut(clusterAddress);
    await desk.start();
    assert.equal(desk.machine.appliances.get(web)?.state, "running");
  });

  it("goes on reporting when the answer to a report got lost", async () => {
    await desk.start();
    const { answer } = desk;
    desk.answer = () => new Promise(() => {});
    await desk.pass(limits.heartbeatMs);
    const before = desk.reports.length;
    desk.answer = answer;
    await desk.pass(limits.heartbeatMs);
    assert.equal(desk.reports.length, before, "one report at a time");
    await desk.pass(millis(limits.heartbeatMs * limits.reportAnswerShareMax));
    await desk.pass(limits.heartbeatMs);
    assert.ok(desk.reports.length > before);
  });

  it("sends no more than a heartbeat while the cluster manager has all it would tell", async () => {
    desk.kept = plan(1, 1, appliance);
    desk.mark = { epoch: 1, number: 7 };
    await desk.start();
    const told = desk.reports.length;
    desk.heartbeats.length = 0;
    assert.deepEqual(
      desk.last.appliances.map(({ state }) => state),
      ["running"],
    );
    await desk.pass(limits.heartbeatMs);
    assert.deepEqual([desk.reports.length, desk.heartbeats.length], [told, 1]);
    const [heartbeat] = desk.heartbeats;
    assert.deepEqual([heartbeat?.mark, heartbeat?.cpuUsedMs.length], [{ epoch: 1, number: 7 }, 1]);
    await desk.give(plan(1, 2, { ...appliance, suspended: true }));
    await desk.settle();
    assert.equal(desk.last.appliances[0]?.state, "suspended", "what changes is told in full");
  });

  it("tells what guests do as a measurement, by heartbeats", async () => {
    desk.mark = { epoch: 1, number: 7 };
    await desk.start();
    await desk.give(plan(1, 1, appliance));
    await desk.settle();
    assert.equal(desk.last.usage.guests, undefined, "there are none");
    const told = desk.reports.length;
    desk.guests = { [web]: { readBytes: bytes(1), writtenBytes: bytes(2) } };
    await desk.pass(limits.heartbeatMs);
    assert.equal(desk.reports.length, told);
    assert.deepEqual(desk.heartbeats.at(-1)?.usage.guests, desk.guests);
  });

  it("tells all of it at once when the cluster manager does not know what a heartbeat refers to", async () => {
    desk.kept = plan(1, 1, appliance);
    desk.mark = { epoch: 1, number: 7 };
    await desk.start();
    const told = desk.reports.length;
    desk.heartbeats.length = 0;
    desk.mark = undefined;
    await desk.pass(limits.heartbeatMs);
    assert.deepEqual([desk.heartbeats.length, desk.reports.length], [1, told + 1]);
    await desk.pass(limits.heartbeatMs);
    assert.deepEqual([desk.heartbeats.length, desk.reports.length], [1, told + 2]);
  });

  it("tells all of it again after a heartbeat that nobody answered", async () => {
    desk.kept = plan(1, 1, appliance);
    desk.mark = { epoch: 1, number: 7 };
    await desk.start();
    const { answer } = desk;
    const told = desk.reports.length;
    desk.heartbeats.length = 0;
    desk.answer = () => new Promise(() => {});
    await desk.pass(limits.heartbeatMs);
    assert.deepEqual([desk.heartbeats.length, desk.reports.length], [1, told]);
    desk.answer = answer;
    await desk.pass(millis(limits.heartbeatMs * limits.reportAnswerShareMax));
    await desk.pass(limits.heartbeatMs);
    assert.deepEqual([desk.heartbeats.length, desk.reports.length], [1, told + 1]);
  });

  it("takes from one and gives to another at once, or not at all, and tells why not", async () => {
    const other = { ...appliance, id: applianceId(ensembleName("shop"), applianceName("db")) };
    desk.machine.reservableMilli = 900;
    desk.kept = plan(1, 1, { ...appliance, ...reserved(400) }, { ...other, ...reserved(400) });
    await desk.start();
    const sizes = (): unknown[] => [...desk.machine.appliances.values()].map((one) => one.plan.cpu);
    await desk.give(plan(1, 2, { ...appliance, ...reserved(600) }, { ...other, ...reserved(350) }));
    await desk.settle();
    assert.deepEqual(sizes(), [reserved(400).cpu, reserved(400).cpu]);
    assert.deepEqual(
      desk.last.problems.map((one) => one.appliance),
      [web, other.id],
    );
    assert.match(desk.last.problems[0]?.message ?? "", /950 thousandths of a processor would be promised/);
    await desk.give(plan(1, 3, { ...appliance, ...reserved(600) }, { ...other, ...reserved(300) }));
    await desk.settle();
    assert.deepEqual(sizes(), [reserved(600).cpu, reserved(300).cpu]);
    assert.deepEqual(desk.last.problems, []);
    assert.equal(desk.last.appliances[0]?.scheduling?.enforcement, "dispatch-table");
  });

  it("does not make what cannot be reserved, and others are none the worse for it", async () => {
    const other = { ...appliance, id: applianceId(ensembleName("shop"), applianceName("db")) };
    desk.machine.reservableMilli = 900;
    desk.kept = plan(1, 1, { ...appliance, ...reserved(400) }, { ...other, ...reserved(600) });
    await desk.start();
    assert.deepEqual(
      desk.last.appliances.map(({ id, state }) => [id, state]),
      [[web, "running"]],
    );
    assert.match(desk.last.problems[0]?.message ?? "", /create shop\/db: Cannot reserve/);
  });

  it("holds where it is what its plan suspends, also from the beginning, until it no longer does", async () => {
    desk.kept = plan(1, 1, { ...appliance, suspended: true });
    await desk.start();
    assert.deepEqual([desk.last.appliances[0]?.state, desk.last.problems], ["suspended", []]);
    assert.equal(desk.machine.appliances.get(web)?.startedAt, undefined);
    await desk.give(plan(1, 2, appliance));
    await desk.settle();
    assert.equal(desk.last.appliances[0]?.state, "running");
    await desk.give(plan(1, 3, { ...appliance, suspended: true }));
    await desk.settle();
    assert.equal(desk.last.appliances[0]?.state, "suspended");
    await desk.give(plan(1, 4, appliance));
    await desk.settle();
    assert.equal(desk.last.appliances[0]?.state, "running");
  });

  it("tells of what waited that it is being made as soon as that begins, not why it waited", async () => {
    const other = { ...appliance, id: applianceId(ensembleName("shop"), applianceName("db")) };
    desk.kept = plan(1, 1, { ...appliance, ...reserved(900) });
    await desk.start();
    const stopped = Promise.withResolvers<undefined>();
    const mayBeMade = Promise.withResolvers<undefined>();
    const driver = desk.appliances;
    const stop = driver.stop.bind(driver);
    const create = driver.create.bind(driver);
    driver.stop = (...told) => stopped.promise.then(() => stop(...told));
    driver.create = (...told) => mayBeMade.promise.then(() => create(...told));
    await desk.give(plan(1, 2, { ...other, ...reserved(900) }));
    await desk.settle();
    const about = (): unknown => desk.last.problems.filter((one) => one.appliance === other.id);
    assert.deepEqual(about(), [
      { appliance: other.id, message: "shop/db waits until others here have stopped" },
    ]);
    stopped.resolve(undefined);
    await desk.settle();
    assert.deepEqual(about(), [{ appliance: other.id, message: "shop/db is being made", underWay: true }]);
    mayBeMade.resolve(undefined);
    await desk.settle();
    await desk.pass(limits.convergeRetryMs);
    assert.deepEqual([desk.last.problems, desk.last.appliances[0]?.state], [[], "running"]);
  });

  it("tells why an appliance does not go away, and does not try again without pause", async () => {
    desk.kept = plan(1, 1, appliance);
    await desk.start();
    let tries = 0;
    desk.appliances.destroy = () => {
      tries += 1;
      return Promise.reject(new Error("device busy"));
    };
    await desk.give(plan(1, 2));
    await desk.settle();
    assert.ok(tries <= 3, `tried ${tries} times at once`);
    await desk.pass(limits.convergeRetryMs);
    await desk.pass(limits.heartbeatMs);
    assert.deepEqual(desk.last.problems, [{ appliance: web, message: "stopping shop/web: device busy" }]);
  });
});
