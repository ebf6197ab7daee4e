import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { mebibytes, micros, millis, milliCpu } from "#base/units.ts";
import type { ApplianceDriver, ApplianceObservation } from "#drivers/appliance/port.ts";
import type { CpuRequest } from "#model/ensemble.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { ApplianceState } from "#protocol/host-report.ts";

/** One kind of driver on a host of its own. */
export type ApplianceSubject = {
  /** Recovered, with nothing on its host. */
  readonly driver: ApplianceDriver;
  /** Commands in the words of its appliances: one that stays, one that ends, one that prints a line and stays or ends. */
  readonly programs: {
    stays(): readonly string[];
    ends(code: number): readonly string[];
    says(text: string): readonly string[];
  };
  /** Another driver on the same host, as after a restart of its manager; the first is closed before. */
  reopen(): Promise<ApplianceDriver>;
  /** Destroys what is left. Rejects if anything remains on the host. */
  [Symbol.asyncDispose](): Promise<void>;
};

const { signal } = new AbortController();
const graceMs = millis(2_000);
export const conformanceId = applianceId(ensembleName("conformance"), applianceName("one"));

export function conformancePlan(
  change: Partial<AppliancePlan> & { command: readonly string[] },
): AppliancePlan {
  return {
    id: conformanceId,
    kind: "task",
    generation: "first",
    env: {},
    files: [],
    restart: { when: "never", backoffMsMin: millis(10), backoffMsMax: millis(20) },
    stopGraceMs: graceMs,
    interfaces: [],
    ...change,
  };
}

/** Resolves when the appliance is as wanted; driven by the driver's own notices. */
export async function whenSeen(
  driver: ApplianceDriver,
  id: ApplianceId,
  wanted: (observation: ApplianceObservation) => boolean,
): Promise<ApplianceObservation> {
  const { promise, resolve } = Promise.withResolvers<ApplianceObservation>();
  const look = (): void => {
    const found = driver.observe().find((one) => one.id === id);
    if (found !== undefined && wanted(found)) resolve(found);
  };
  driver.onChange(look);
  look();
  const seen = await promise;
  driver.onChange(() => {});
  return seen;
}

const stateIn = (driver: ApplianceDriver, id = conformanceId): ApplianceState | undefined =>
  driver.observe().find((one) => one.id === id)?.state;

const none: ReadonlyMap<string, string> = new Map();
const reserved = (ms: number): CpuRequest => ({
  kind: "reservation",
  periodUs: micros(100_000),
  executionUs: micros(ms * 1000),
});

/** What every appliance driver has to do. */
export function applianceConformance(name: string, setUp: () => Promise<ApplianceSubject>): void {
  lifeConformance(name, setUp);
  endConformance(name, setUp);
  recoveryConformance(name, setUp);
}

function lifeConformance(name: string, setUp: () => Promise<ApplianceSubject>): void {
  test(`${name}: an appliance is created, started, stopped, started again and destroyed`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays() });
    await driver.create(plan, none, signal);
    assert.equal(stateIn(driver), "created");
    await driver.start(plan.id, signal);
    assert.equal(stateIn(driver), "running");
    await driver.stop(plan.id, graceMs, signal);
    assert.equal(stateIn(driver), "stopped");
    await driver.start(plan.id, signal);
    assert.equal(stateIn(driver), "running");
    await driver.destroy(plan.id, signal);
    assert.deepEqual(driver.observe(), []);
  });

  test(`${name}: every call does no harm when repeated, also at once`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays() });
    const twice = (call: () => Promise<void>): Promise<void[]> => Promise.all([call(), call()]);
    await twice(() => driver.create(plan, none, signal));
    assert.equal(driver.observe().length, 1);
    await twice(() => driver.start(plan.id, signal));
    const first = driver.observe()[0];
    await driver.start(plan.id, signal);
    assert.equal(driver.observe()[0]?.startedAt, first?.startedAt);
    await twice(() => driver.suspend(plan.id, signal));
    await twice(() => driver.resume(plan.id, signal));
    await twice(() => driver.stop(plan.id, graceMs, signal));
    await twice(() => driver.destroy(plan.id, signal));
    assert.deepEqual(driver.observe(), []);
  });

  test(`${name}: another generation is refused while the first is there`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays() });
    await driver.create(plan, none, signal);
    await assert.rejects(driver.create({ ...plan, generation: "second" }, none, signal), {
      code: "conflict",
    });
  });

  test(`${name}: what is not there cannot be started, and is stopped and destroyed already`, async () => {
    await using subject = await setUp();
    const { driver } = subject;
    await assert.rejects(driver.start(conformanceId, signal), { code: "not_found" });
    await driver.stop(conformanceId, graceMs, signal);
    await driver.destroy(conformanceId, signal);
  });

  test(`${name}: a new size is what is observed, before and while it runs`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays(), memoryBytes: mebibytes(64) });
    await driver.create(plan, none, signal);
    assert.equal(driver.observe()[0]?.memoryLimitBytes, mebibytes(64));
    const cpu = { kind: "share", shareMilli: milliCpu(100), limitMilli: milliCpu(200) } as const;
    await driver.adapt(new Map([[plan.id, { cpu }]]), signal);
    await driver.start(plan.id, signal);
    await driver.adapt(new Map([[plan.id, { memoryBytes: mebibytes(96) }]]), signal);
    assert.deepEqual(driver.observe()[0]?.cpu, cpu);
    assert.equal(driver.observe()[0]?.memoryLimitBytes, mebibytes(96));
  });

  test(`${name}: sizes of several change together, and those of none if one of them is not here`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays(), cpu: reserved(20) });
    const other = { ...plan, id: applianceId(ensembleName("conformance"), applianceName("two")) };
    await driver.create(plan, none, signal);
    await driver.create(other, none, signal);
    const cpuOf = (id: ApplianceId): unknown => driver.observe().find((one) => one.id === id)?.cpu;
    const to = (id: ApplianceId, ms: number) => [id, { cpu: reserved(ms) }] as const;
    await driver.adapt(new Map([to(plan.id, 10), to(other.id, 30)]), signal);
    assert.deepEqual([cpuOf(plan.id), cpuOf(other.id)], [reserved(10), reserved(30)]);
    const missing = applianceId(ensembleName("conformance"), applianceName("missing"));
    const wrong = driver.adapt(new Map([to(plan.id, 1), to(missing, 1)]), signal);
    await assert.rejects(wrong, { code: "not_found" });
    assert.deepEqual(cpuOf(plan.id), reserved(10));
  });

  test(`${name}: what is suspended from the beginning does not run before it is resumed and started`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.says("begun"), suspended: true });
    await driver.create(plan, none, signal);
    assert.equal(stateIn(driver), "suspended");
    await driver.suspend(plan.id, signal);
    const next = await subject.reopen();
    assert.equal(stateIn(next), "suspended");
    assert.equal(await next.readLog(plan.id, 100, signal), "");
    await next.resume(plan.id, signal);
    assert.equal(stateIn(next), "created");
    await next.start(plan.id, signal);
    let output = "";
    while (output === "") output = await next.readLog(plan.id, 100, signal);
    assert.equal(output, "begun\n");
    await next.destroy(plan.id, signal);
    await next.create(plan, none, signal);
    await next.stop(plan.id, graceMs, signal);
    await next.destroy(plan.id, signal);
    assert.deepEqual(next.observe(), []);
  });

  test(`${name}: suspended it is not running, and resumed it is again`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays() });
    await driver.create(plan, none, signal);
    await assert.rejects(driver.suspend(plan.id, signal), { code: "conflict" });
    await driver.start(plan.id, signal);
    await driver.suspend(plan.id, signal);
    assert.equal(stateIn(driver), "suspended");
    await driver.resume(plan.id, signal);
    assert.equal(stateIn(driver), "running");
    await driver.suspend(plan.id, signal);
    await driver.stop(plan.id, graceMs, signal);
    assert.equal(stateIn(driver), "stopped");
  });

  test(`${name}: a program run beside the command gives its output and its exit code, and is killed when given up`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.stays() });
    await driver.create(plan, none, signal);
    const run = (command: readonly string[], until: AbortSignal): Promise<[number, string]> => {
      let output = "";
      const onOutput = (_stream: string, chunk: Uint8Array): void => {
        output += Buffer.from(chunk).toString();
      };
      return driver.exec(plan.id, { command, env: {}, onOutput }, until).then((code) => [code, output]);
    };
    await assert.rejects(run(programs.ends(0), signal), { code: "conflict" });
    await driver.start(plan.id, signal);
    assert.deepEqual(await run(programs.ends(3), signal), [3, ""]);
    assert.equal((await run(programs.says("hello"), signal))[1], "hello\n");
    const reason = new Error("given up");
    const giveUp = new AbortController();
    const stays = run(programs.stays(), giveUp.signal);
    giveUp.abort(reason);
    await assert.rejects(stays, reason);
  });
}

function endConformance(name: string, setUp: () => Promise<ApplianceSubject>): void {
  const ending = async (
    subject: ApplianceSubject,
    code: number,
    when: "always" | "on-failure" | "never",
  ): Promise<AppliancePlan> => {
    const plan = conformancePlan({
      command: subject.programs.ends(code),
      restart: { when, backoffMsMin: millis(10), backoffMsMax: millis(20) },
    });
    await subject.driver.create(plan, none, signal);
    await subject.driver.start(plan.id, signal);
    return plan;
  };

  test(`${name}: a command that ends well has exited, one that does not has failed, and says why`, async () => {
    await using subject = await setUp();
    const { driver } = subject;
    const plan = await ending(subject, 0, "on-failure");
    const well = await whenSeen(driver, plan.id, (one) => one.state === "exited");
    assert.equal(well.exitCode, 0);
    assert.equal(well.message, undefined);
    await driver.start(plan.id, signal);
    assert.equal(stateIn(driver), "exited", "a command that is to run once does not run twice");
    await driver.destroy(plan.id, signal);
    await ending(subject, 7, "never");
    const badly = await whenSeen(driver, plan.id, (one) => one.state === "failed");
    assert.equal(badly.exitCode, 7);
    assert.match(badly.message ?? "", /exit code 7/);
  });

  test(`${name}: a failing command is restarted again and again, until it is stopped`, async () => {
    await using subject = await setUp();
    const { driver } = subject;
    const plan = await ending(subject, 1, "on-failure");
    await whenSeen(driver, plan.id, (one) => one.restarts >= 3);
    await driver.stop(plan.id, graceMs, signal);
    assert.equal(stateIn(driver), "stopped");
    await driver.destroy(plan.id, signal);
  });

  test(`${name}: its output is kept, and the end of it is read`, async () => {
    await using subject = await setUp();
    const { driver, programs } = subject;
    const plan = conformancePlan({ command: programs.says("first line") });
    await driver.create(plan, none, signal);
    assert.equal(await driver.readLog(plan.id, 100, signal), "");
    await driver.start(plan.id, signal);
    let output = "";
    while (output === "") output = await driver.readLog(plan.id, 100, signal);
    assert.equal(output, "first line\n");
    assert.equal(await driver.readLog(plan.id, 5, signal), "line\n");
  });
}

function recoveryConformance(name: string, setUp: () => Promise<ApplianceSubject>): void {
  test(`${name}: a driver opened anew finds what runs, and what is only created`, async () => {
    await using subject = await setUp();
    const plan = conformancePlan({ command: subject.programs.stays(), memoryBytes: mebibytes(64) });
    const other = { ...plan, id: applianceId(ensembleName("conformance"), applianceName("two")) };
    await subject.driver.create(plan, none, signal);
    await subject.driver.start(plan.id, signal);
    await subject.driver.create(other, none, signal);
    const before = subject.driver.observe().find((one) => one.id === plan.id);
    const driver = await subject.reopen();
    const after = driver.observe().find((one) => one.id === plan.id);
    assert.equal(after?.state, "running");
    assert.equal(after.startedAt, before?.startedAt);
    assert.equal(after.memoryLimitBytes, mebibytes(64));
    assert.equal(stateIn(driver, other.id), "created");
    await driver.start(other.id, signal);
    assert.equal(stateIn(driver, other.id), "running");
  });

  test(`${name}: a driver opened anew keeps an end it finds, and the restart that is due`, async () => {
    await using subject = await setUp();
    const restart = { when: "always", backoffMsMin: millis(200), backoffMsMax: millis(200) } as const;
    const plan = conformancePlan({ command: subject.programs.ends(5), restart });
    await subject.driver.create(plan, none, signal);
    await subject.driver.start(plan.id, signal);
    await whenSeen(subject.driver, plan.id, (one) => one.state === "backoff");
    const driver = await subject.reopen();
    const seen = await whenSeen(driver, plan.id, (one) => one.restarts >= 2);
    assert.equal(seen.state, "backoff");
    assert.equal(seen.exitCode, 5);
  });

  test(`${name}: a suspended appliance is still suspended for the next driver`, async () => {
    await using subject = await setUp();
    const plan = conformancePlan({ command: subject.programs.stays() });
    await subject.driver.create(plan, none, signal);
    await subject.driver.start(plan.id, signal);
    await subject.driver.suspend(plan.id, signal);
    const driver = await subject.reopen();
    assert.equal(stateIn(driver), "suspended");
    await driver.resume(plan.id, signal);
    assert.equal(stateIn(driver), "running");
  });
}
