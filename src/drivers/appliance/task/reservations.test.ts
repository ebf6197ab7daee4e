import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { micros, milliCpu } from "#base/units.ts";
import { conformancePlan } from "#drivers/appliance/conformance.ts";
import { Reservations } from "#drivers/appliance/task/reservations.ts";
import type { Reserving } from "#drivers/appliance/task/reservations.ts";
import { BookedScheduler } from "#drivers/appliance/task/scheduler.fixture.ts";
import type { Cgroup, CpuQuota } from "#drivers/system/cgroups/port.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

const reserved = (milli: number): CpuRequest => ({
  kind: "reservation",
  periodUs: micros(100_000),
  executionUs: micros(milli * 100),
});
const share: CpuRequest = { kind: "share", shareMilli: milliCpu(200), limitMilli: milliCpu(400) };

/** Its group remembers the last quota. */
class Machine {
  quota: CpuQuota | "max" | undefined;
  plan: AppliancePlan;
  readonly cgroup: Cgroup;

  constructor(name: string, cpu: CpuRequest | undefined) {
    const id = applianceId(ensembleName("shop"), applianceName(name));
    this.plan = conformancePlan({ id, command: ["true"], ...(cpu === undefined ? {} : { cpu }) });
    const setCpu = (limit: CpuQuota | "max"): void => {
      this.quota = limit;
    };
    this.cgroup = { path: `host/${name}`, setCpu, setWeight: () => {} } as unknown as Cgroup;
  }

  to(change: Partial<AppliancePlan>): Reserving {
    return { before: this.plan, plan: { ...this.plan, ...change }, cgroup: this.cgroup };
  }
}

function setUp(...cpus: readonly (CpuRequest | undefined)[]) {
  const scheduler = new BookedScheduler();
  scheduler.capacity = 1;
  const reservations = new Reservations(scheduler, silentLog);
  const machines = cpus.map((cpu, index) => new Machine(`m${index}`, cpu));
  reservations.recover(machines.map(({ plan, cgroup }) => ({ plan, cgroup, suspended: false })));
  scheduler.calls.length = 0;
  const [first, second] = machines;
  assert.ok(first !== undefined && second !== undefined);
  const booked = (): unknown[] =>
    [...scheduler.machines.values()]
      .toSorted((a, b) => a.id.localeCompare(b.id))
      .map(({ id, reservation, enforcement }) => [id, reservation.executionUs / 100, enforcement]);
  return { scheduler, reservations, first, second, booked };
}

describe("Reservations", () => {
  it("changes sizes in one call, also where one gets only what the other gives up", () => {
    const { scheduler, reservations, first, second, booked } = setUp(reserved(600), reserved(400));
    reservations.change([first.to({ cpu: reserved(800) }), second.to({ cpu: reserved(200) })]);
    assert.deepEqual(scheduler.calls, ["adapt shop/m0 shop/m1"]);
    assert.deepEqual(booked(), [
      ["shop/m0", 800, "auto"],
      ["shop/m1", 200, "auto"],
    ]);
  });

  it("leaves all as it was when one of several changes is refused", () => {
    const { reservations, first, second, booked } = setUp(reserved(500), reserved(300));
    const before = booked();
    const changes = [
      first.to({ cpu: reserved(600) }),
      second.to({ cpu: reserved(500), enforcement: "bandwidth" }),
    ];
    assert.throws(() => reservations.change(changes), { code: "unsatisfiable" });
    assert.deepEqual(booked(), before);
  });

  it("gives up what becomes a share before others get it, and takes it back if they cannot", () => {
    const { reservations, first, second, booked } = setUp(reserved(600), reserved(400));
    const refused = [first.to({ cpu: share }), second.to({ cpu: reserved(1200) })];
    assert.throws(() => reservations.change(refused), { code: "unsatisfiable" });
    assert.deepEqual(booked(), [
      ["shop/m0", 600, "auto"],
      ["shop/m1", 400, "auto"],
    ]);
    assert.equal(first.quota, undefined, "it is not limited as a share would be");
    reservations.change([first.to({ cpu: share }), second.to({ cpu: reserved(1000) })]);
    assert.deepEqual(booked(), [["shop/m1", 1000, "auto"]]);
    assert.deepEqual(first.quota, { quotaUs: 40_000, periodUs: 100_000 });
  });

  it("takes the limit of a share away before it reserves, and puts it back where that is refused", () => {
    const { reservations, first, second } = setUp(share, reserved(500));
    const quota = { quotaUs: 40_000, periodUs: 100_000 };
    assert.deepEqual(first.quota, quota);
    assert.throws(() => reservations.change([first.to({ cpu: reserved(600) })]), { code: "unsatisfiable" });
    assert.deepEqual(first.quota, quota);
    assert.equal(reservations.has(first.to({ cpu: reserved(600) }).plan), false);
    reservations.change([first.to({ cpu: reserved(400) })]);
    assert.equal(first.quota, "max");
    assert.ok(reservations.has(second.plan));
  });

  it("keeps what it can of what is here when not all of it fits any more, and limits the rest", () => {
    const { scheduler, reservations, first, second, booked } = setUp(reserved(600), reserved(600));
    assert.deepEqual(booked(), [["shop/m0", 600, "auto"]]);
    assert.deepEqual([reservations.has(first.plan), reservations.has(second.plan)], [true, false]);
    assert.deepEqual(second.quota, { quotaUs: 60_000, periodUs: 100_000 });
    reservations.change([second.to({ cpu: reserved(300) })]);
    assert.deepEqual([scheduler.machines.size, second.quota], [2, "max"]);
  });

  it("tells how each one is kept, and nothing of those that have no reservation", () => {
    const { reservations, first } = setUp(reserved(100), share);
    reservations.change([first.to({ enforcement: "bandwidth" })]);
    assert.deepEqual(
      [...reservations.reports()].map(([id, { enforcement }]) => [id, enforcement]),
      [["shop/m0", "bandwidth"]],
    );
    reservations.expel(first.plan.id);
    assert.equal(reservations.reports().size, 0);
  });
});
