import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { micros, millis, milliCpu } from "#base/units.ts";
import { conformanceId, conformancePlan } from "#drivers/appliance/conformance.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import type { CpuScheduler } from "#drivers/scheduling/port.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { CpuReservation, Enforcement } from "#model/ensemble.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clearHost, clock, hostOptions, signal } from "./host.ts";

const busy = ["sh", "-c", "while :; do :; done"];
const enforcements: readonly Enforcement[] = ["dispatch-table", "bandwidth"];
const otherId = applianceId(ensembleName("conformance"), applianceName("other"));

const reserved = (ms: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(40_000),
  executionUs: micros(ms * 1000),
});

/** A host whose reservations are really kept. */
class ReservedHost {
  readonly runDir = mkdtempSync("/run/consort-test-task-");
  readonly options = hostOptions();
  scheduler!: CpuScheduler;
  driver!: TaskDriver;

  async open(): Promise<this> {
    this.scheduler = createCpuScheduler({
      directory: join(this.runDir, "scheduling"),
      layout: machineLayout(),
      cgroupParent: this.options.cgroupParent,
      processors: [{ milli: 1000 }],
      log: silentLog,
    });
    this.driver = new TaskDriver({ ...this.options, scheduler: this.scheduler });
    await this.driver.recover(signal);
    return this;
  }

  async restart(): Promise<void> {
    await this.driver.close();
    await this.scheduler.close();
    await this.open();
  }

  async run(change: Partial<AppliancePlan>): Promise<AppliancePlan> {
    const plan = conformancePlan({ command: busy, ...change });
    await this.driver.create(plan, new Map(), signal);
    await this.driver.start(plan.id, signal);
    await this.kept(plan.id);
    return plan;
  }

  /** Resolves once it is held to its reservation: a dispatcher may have to be started first. */
  async kept(id: ApplianceId = conformanceId): Promise<void> {
    const dispatches = (): number =>
      this.driver.observe().find((one) => one.id === id)?.scheduling?.dispatches ?? 0;
    const before = dispatches();
    while (dispatches() <= before) await clock.sleep(millis(2), signal);
  }

  /** Of one processor, over half a second. */
  async use(id: ApplianceId = conformanceId): Promise<number> {
    const used = (): number => this.driver.observe().find((one) => one.id === id)?.cpuUsedMs ?? 0;
    const from = { at: clock.monotonic(), used: used() };
    await clock.sleep(millis(500), signal);
    return (used() - from.used) / (clock.monotonic() - from.at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await clearHost(this.driver, this.options);
    await this.scheduler.close();
    const left = existsSync(this.runDir) ? readdirSync(this.runDir, { recursive: true }) : [];
    assert.deepEqual(
      left.filter((name) => name !== "scheduling"),
      [],
    );
    rmSync(this.runDir, { recursive: true });
  }
}

for (const enforcement of enforcements) {
  test(`by ${enforcement}: what is reserved is kept and no more is given, and changes while it runs`, async () => {
    await using host = await new ReservedHost().open();
    const plan = await host.run({ cpu: reserved(10), enforcement });
    assert.equal(host.driver.observe()[0]?.scheduling?.enforcement, enforcement);
    // How much it really gets depends on what else this machine does; more than it has reserved it never gets.
    const small = await host.use();
    assert.ok(small < 0.33, `${small} of a processor, 0.25 reserved`);
    await host.driver.adapt(new Map([[plan.id, { cpu: reserved(32) }]]), signal);
    const large = await host.use();
    assert.ok(large > small && large < 0.88, `${large} of a processor, 0.8 reserved`);
    await host.driver.stop(plan.id, millis(60_000), signal);
    assert.equal(host.driver.observe()[0]?.state, "stopped");
  });

  test(`by ${enforcement}: it is held and goes on, ends politely, also for the next manager`, async () => {
    await using host = await new ReservedHost().open();
    const plan = await host.run({ cpu: reserved(10), enforcement });
    await host.driver.suspend(plan.id, signal);
    assert.ok((await host.use()) < 0.02);
    await host.restart();
    assert.ok((await host.use()) < 0.02);
    await host.driver.resume(plan.id, signal);
    const used = await host.use();
    assert.ok(used > 0 && used < 0.33, `${used} of a processor, 0.25 reserved`);
    await host.restart();
    assert.equal(host.driver.observe()[0]?.scheduling?.enforcement, enforcement);
    await host.kept();
    assert.ok((await host.use()) < 0.33);
  });
}

test("what cannot be reserved beside the others is not made, and they keep what they have", async () => {
  await using host = await new ReservedHost().open();
  await host.run({ cpu: reserved(24) });
  const wanted = host.run({ id: otherId, cpu: reserved(20) });
  await assert.rejects(wanted, { code: "unsatisfiable" });
  assert.deepEqual(
    host.driver.observe().map((one) => [one.id, one.state]),
    [[conformanceId, "running"]],
  );
  await host.run({ id: otherId, cpu: reserved(12) });
});

test("one gives up and the other gets at once, or nobody anything", async () => {
  await using host = await new ReservedHost().open();
  await host.run({ cpu: reserved(24) });
  await host.run({ id: otherId, cpu: reserved(12) });
  const sizes = (): unknown[] => host.driver.observe().map((one) => one.cpu);
  const move = (one: number, other: number): Promise<void> => {
    const changes = [
      [conformanceId, { cpu: reserved(one) }],
      [otherId, { cpu: reserved(other) }],
    ] as const;
    return host.driver.adapt(new Map(changes), signal);
  };
  await assert.rejects(move(36, 8), { code: "unsatisfiable" });
  assert.deepEqual(sizes(), [reserved(24), reserved(12)]);
  await move(32, 4);
  assert.deepEqual(sizes(), [reserved(32), reserved(4)]);
  await move(4, 32);
  assert.ok((await host.use()) < 0.18);
});

test("another enforcement, a share instead, and a reservation again, all while it runs", async () => {
  await using host = await new ReservedHost().open();
  const plan = await host.run({ cpu: reserved(10), enforcement: "dispatch-table" });
  const adapt = (settings: Partial<AppliancePlan>): Promise<void> =>
    host.driver.adapt(new Map([[plan.id, settings]]), signal);
  await adapt({ enforcement: "bandwidth" });
  assert.ok((await host.use()) < 0.33);
  await adapt({ cpu: { kind: "share", shareMilli: milliCpu(100), limitMilli: milliCpu(100) } });
  assert.ok((await host.use()) < 0.2);
  assert.equal(host.driver.observe()[0]?.scheduling, undefined);
  await adapt({ cpu: reserved(4), enforcement: "dispatch-table" });
  await host.kept();
  const used = await host.use();
  assert.ok(used > 0 && used < 0.18, `${used} of a processor, 0.1 reserved`);
});
