import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ApplianceSubject } from "#drivers/appliance/conformance.ts";
import { BookedScheduler } from "#drivers/appliance/task/scheduler.fixture.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { jsonLog } from "#drivers/system/log.ts";

export const clock = systemClock();
export const cgroups = systemCgroups(clock);
export const { signal } = new AbortController();

export const programs = {
  stays: (): string[] => ["sleep", "1000"],
  ends: (code: number): string[] => ["sh", "-c", `exit ${code}`],
  says: (text: string): string[] => ["echo", text],
};

let count = 0;

/** Options of a driver on a host of its own; nothing exists yet. */
export function hostOptions(change: Partial<TaskDriverOptions> = {}): TaskDriverOptions {
  count += 1;
  const mark = `consort-test-task-${process.pid}-${count}`;
  return {
    stateDir: change.stateDir ?? mkdtempSync(`/var/lib/${mark}-`),
    cgroupParent: mark,
    netnsPrefix: `${mark}.`,
    cgroups,
    scheduler: new BookedScheduler(),
    clock,
    log: jsonLog({ clock, fd: 2, level: "warn" }),
    poolSize: 0,
    ...change,
  };
}

/** Everything on this machine that carries a host's mark. */
export function traces(options: TaskDriverOptions): string[] {
  const group = cgroups.open(options.cgroupParent);
  const slots = join(options.stateDir, "slots");
  const supervisors = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => mentions(`/proc/${pid}/mountinfo`, options.stateDir));
  return [
    ...group.children().map((name) => `control group ${name}`),
    ...readdirSync("/run/netns")
      .filter((name) => name.startsWith(options.netnsPrefix))
      .map((name) => `namespace ${name}`),
    ...(existsSync(slots) ? readdirSync(slots) : []).map((name) => `slot ${name}`),
    ...supervisors.map((pid) => `process ${pid}`),
    ...(mentions("/proc/self/mountinfo", options.netnsPrefix) ? ["a mount"] : []),
  ];
}

function mentions(file: string, text: string): boolean {
  try {
    return readFileSync(file, "utf8").includes(text);
  } catch {
    return false;
  }
}

/** Clears a host and makes sure that it is clear. */
export async function clearHost(driver: TaskDriver, options: TaskDriverOptions): Promise<void> {
  for (const one of driver.observe()) await driver.destroy(one.id, signal);
  await driver.close();
  const sweeper = new TaskDriver({ ...options, poolSize: 0 });
  await sweeper.recover(signal);
  const kept = sweeper.observe();
  await sweeper.close();
  const left = traces(options);
  await cgroups.open(options.cgroupParent).remove(signal);
  rmSync(options.stateDir, { recursive: true, force: true });
  assert.deepEqual(kept, []);
  assert.deepEqual(left, []);
}

export type TaskSubject = ApplianceSubject & {
  readonly driver: TaskDriver;
  readonly options: TaskDriverOptions;
};

export async function taskHost(change: Partial<TaskDriverOptions> = {}): Promise<TaskSubject> {
  const options = hostOptions(change);
  let driver = new TaskDriver(options);
  await driver.recover(signal);
  return {
    driver,
    options,
    programs,
    async reopen() {
      await driver.close();
      driver = new TaskDriver(options);
      await driver.recover(signal);
      return driver;
    },
    [Symbol.asyncDispose]: () => clearHost(driver, options),
  };
}
