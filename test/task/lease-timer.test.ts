import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { conformancePlan, whenSeen } from "#drivers/appliance/conformance.ts";
import type { TaskDriver, TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import { leaseRecord } from "#drivers/appliance/task/lease.ts";
import { Factory } from "#drivers/appliance/task/factory.ts";
import type { TimerHolder } from "#drivers/appliance/task/factory.ts";
import { clock, programs, signal, taskHost } from "./host.ts";
import type { TaskSubject } from "./host.ts";

const longMs = 3_600_000;
/** Managers wait a second longer than the lease before they start an appliance elsewhere. */
const marginMs = 1000;
const first = conformancePlan({ command: programs.stays(), leased: true });
const second = { ...first, id: applianceId(ensembleName("conformance"), applianceName("second")) };

const leaseFile = (options: TaskDriverOptions): string => join(options.stateDir, "lease");

const pidFile = (options: TaskDriverOptions, slot: number): string =>
  join(options.stateDir, `slots/${slot}/pid`);

/** Its supervisor's pid, start time and number of the timer. */
function wordsOf(options: TaskDriverOptions, slot: number): [string, string, string] {
  const [pid = "", start = "", , timer = ""] = readFileSync(pidFile(options, slot), "utf8").trim().split(" ");
  return [pid, start, timer];
}

function writeWords(
  options: TaskDriverOptions,
  slot: number,
  words: readonly [string, string, string],
): void {
  const [pid, start, timer] = words;
  writeFileSync(pidFile(options, slot), `${pid} ${start} lease ${timer}\n`);
}

/** Seconds until the timer that it has open by that number rings; undefined: that is no timer. */
function timerSeconds([pid, , timer]: readonly [string, string, string]): number | undefined {
  const seconds = /^it_value: \((\d+),/m.exec(readFileSync(`/proc/${pid}/fdinfo/${timer}`, "utf8"))?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

/** How often its supervisor was given the CPU after it had waited. */
function wakesOf(options: TaskDriverOptions, slot = 0): number {
  const status = readFileSync(`/proc/${wordsOf(options, slot)[0]}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}

const holderOf = ([pid, startTime, timer]: readonly [string, string, string]): TimerHolder => ({
  pid: Number(pid),
  startTime,
  timerFd: Number(timer),
});

/** CLOCK_MONOTONIC, as supervisors read it. */
const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

const renew = (driver: TaskDriver, forMs: number): void =>
  driver.renewLease(millis(clock.monotonic() + forMs));

async function untilSet(options: TaskDriverOptions, slot: number, seconds: number): Promise<void> {
  while ((timerSeconds(wordsOf(options, slot)) ?? 0) < seconds) await clock.sleep(millis(5), signal);
}

/** A host whose first appliance runs under a lease of an hour. */
async function leasedHost(): Promise<TaskSubject> {
  const host = await taskHost();
  renew(host.driver, longMs);
  await host.driver.create(first, new Map(), signal);
  await host.driver.start(first.id, signal);
  await untilSet(host.options, 0, 3000);
  return host;
}

async function startSecond(driver: TaskDriver): Promise<void> {
  await driver.create(second, new Map(), signal);
  await driver.start(second.id, signal);
}

test("a lease renewed in time wakes no supervisor", async () => {
  await using host = await taskHost();
  const leaseMs = 2000;
  const { driver, options } = host;
  renew(driver, leaseMs);
  await driver.create(first, new Map(), signal);
  await driver.start(first.id, signal);
  const renewals = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      renew(driver, leaseMs);
      await clock.sleep(millis(leaseMs / 20), signal);
    }
  };
  await renewals(24);
  const before = wakesOf(options);
  await renewals(60);
  assert.ok(wakesOf(options) - before <= 1, `${wakesOf(options) - before} times in three leases`);
  assert.equal(driver.observe()[0]?.state, "running");
});

test("the next manager sets the very timer that living supervisors wait for", async () => {
  await using host = await leasedHost();
  const next = (await host.reopen()) as TaskDriver;
  renew(next, 2 * longMs);
  await untilSet(host.options, 0, 5000);
  await startSecond(next);
  renew(next, 3 * longMs);
  for (const slot of [0, 1]) await untilSet(host.options, slot, 9000);
});

for (const [what, change] of [
  ["the number of another file", ([pid, start]) => [pid, start, "0"]],
  ["the number of no file", ([pid, start]) => [pid, start, "999"]],
] as const satisfies readonly (readonly [
  string,
  (words: [string, string, string]) => [string, string, string],
])[]) {
  test(`${what} in place of the timer's is noticed: those to come get a new timer`, async () => {
    await using host = await leasedHost();
    const { options } = host;
    const words = wordsOf(options, 0);
    writeWords(options, 0, change(words));
    const next = (await host.reopen()) as TaskDriver;
    await startSecond(next);
    renew(next, 2 * longMs);
    await untilSet(options, 1, 5000);
    assert.ok((timerSeconds(words) ?? 0) < 3601, "the old one is set no more");
  });
}

/** Past its manager: no timer is set for it. */
function writeLease(options: TaskDriverOptions, forMs: number): void {
  const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  writeFileSync(leaseFile(options), leaseRecord(inMs(forMs), boot), { flag: "r+" });
}

const inMs = (ms: number): Millis => millis(Math.floor(monotonicMs() + ms));

test("a timer is never set to later than the end of the lease, whoever asks", async () => {
  await using host = await taskHost();
  const { driver, options } = host;
  await driver.create(first, new Map(), signal);
  renew(driver, 1500);
  await driver.start(first.id, signal);
  const endMs = monotonicMs() + 1500;
  await untilSet(options, 0, 0);
  const meddler = new Factory(leaseFile(options), () => holderOf(wordsOf(options, 0)));
  await meddler.setTimer(inMs(longMs));
  meddler.close();
  await whenSeen(driver, first.id, (one) => one.state === "fenced");
  const lateMs = monotonicMs() - endMs;
  assert.ok(lateMs < marginMs, `held ${lateMs} ms after the end of its lease`);
});

test("a supervisor whose timer nobody sets any more goes on with its lease, and is held when that ends", async () => {
  await using host = await taskHost();
  const { driver, options } = host;
  await driver.create(first, new Map(), signal);
  renew(driver, 700);
  await driver.start(first.id, signal);
  await untilSet(options, 0, 0);
  const endMs = monotonicMs() + 1500;
  writeLease(options, 1500);
  await whenSeen(driver, first.id, (one) => one.state === "fenced");
  const lateMs = monotonicMs() - endMs;
  assert.ok(lateMs > -50 && lateMs < marginMs, `held ${lateMs} ms after the end of its lease`);
});

test("a process that got a dead supervisor's number is not asked for its timer", async () => {
  await using host = await leasedHost();
  const words = wordsOf(host.options, 0);
  // As when the supervisor dies between being taken over and being asked: only the start time tells.
  const stranger = { ...holderOf(words), startTime: String(Number(words[1]) + 1) };
  const misled = new Factory(leaseFile(host.options), () => stranger);
  await misled.setTimer(inMs(3 * longMs));
  misled.close();
  assert.ok((timerSeconds(words) ?? 0) < 3601);
  writeLease(host.options, 4 * longMs);
  const right = new Factory(leaseFile(host.options), () => holderOf(words));
  await right.setTimer(inMs(3 * longMs));
  right.close();
  assert.ok((timerSeconds(words) ?? 0) > 9000);
});

test("a timer that cannot be set is told", async () => {
  await using host = await leasedHost();
  const factory = new Factory(leaseFile(host.options), () => undefined);
  try {
    await assert.rejects(factory.setTimer(millis(-5000)), {
      code: "driver_failed",
      message: /^Cannot set the lease timer to -5000: timerfd_settime: Invalid argument/,
    });
  } finally {
    factory.close();
  }
});
