import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ApplianceId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { ProbedAcceleration } from "#drivers/appliance/qemu/acceleration.ts";
import { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import type { QemuDriverOptions } from "#drivers/appliance/qemu/driver.ts";
import { clockKhzOf } from "#drivers/appliance/qemu/spec-of.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { cgroups, clearHost, clock, hostOptions, signal } from "../task/host.ts";
import { guestCache, subprocess } from "./guest-machine.ts";
import { vmPlan } from "./plans.ts";

/** As if it had crashed, or been stopped from inside. False: none runs. */
export function killQemu(
  driver: QemuDriver,
  id: ApplianceId,
  by: "SIGKILL" | "SIGSTOP" = "SIGKILL",
): boolean {
  const vm = driver.running(id);
  if (vm === undefined) return false;
  const pids = cgroups.openForCpu(`${vm.cgroup.path}/main`).pids();
  for (const pid of pids) if (isQemu(pid)) process.kill(pid, by);
  return true;
}

function isQemu(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("qemu");
  } catch {
    return false;
  }
}

export type MachineHost = AsyncDisposable & {
  readonly driver: QemuDriver;
  readonly tasks: TaskDriverOptions;
  /** Another driver on the same host, as after a restart of its manager. */
  reopen(): Promise<QemuDriver>;
};

export const tinyGuest = (): Promise<BuiltGuest> =>
  buildTinyGuest(guestCache, () => {}, subprocess, AbortSignal.timeout(300_000));

/** What a driver needs on a host whose blobs are those of one guest. */
export function machineOptions(tasks: TaskDriverOptions, guest: BuiltGuest): QemuDriverOptions {
  return {
    stateDir: tasks.stateDir,
    tasks: (machines) => new TaskDriver({ ...tasks, machines }),
    blobs: { path: (digest) => guest.files.get(digest) ?? digest },
    storage: { prepare: () => Promise.resolve([]), remove: () => Promise.resolve() },
    acceleration: new ProbedAcceleration(() => Promise.resolve(false)),
    clockKhz: clockKhzOf(readFileSync("/proc/cpuinfo", "utf8")),
    subprocess,
    clock,
    random: systemRandom(),
    log: tasks.log,
  };
}

/** A host for machines, with nothing on it; disposed, nothing may be left of it. */
export async function machineHost(
  guest: BuiltGuest,
  change: Partial<QemuDriverOptions> = {},
  tasksChange: Partial<TaskDriverOptions> = {},
): Promise<MachineHost> {
  const tasks = hostOptions(tasksChange);
  const options = { ...machineOptions(tasks, guest), ...change };
  let driver = new QemuDriver(options);
  await driver.recover(signal);
  return {
    get driver() {
      return driver;
    },
    tasks,
    async reopen() {
      await driver.close();
      driver = new QemuDriver(options);
      await driver.recover(signal);
      return driver;
    },
    async [Symbol.asyncDispose]() {
      for (const one of driver.observe()) await driver.destroy(one.id, signal);
      const left = filesLeft(tasks.stateDir);
      await driver.close();
      await clearHost(new TaskDriver(tasks), tasks);
      if (left.length > 0) throw new Error(`files of machines are left: ${left.join(", ")}`);
    },
  };
}

const filesLeft = (stateDir: string): string[] =>
  existsSync(join(stateDir, "vms")) ? readdirSync(join(stateDir, "vms")) : [];

/** A small machine of its own network alone. */
export function machinePlanOf(guest: BuiltGuest, change: Partial<AppliancePlan> = {}): AppliancePlan {
  return {
    ...vmPlan(guest.image),
    interfaces: [],
    memoryBytes: mebibytes(128),
    restart: { when: "never", backoffMsMin: millis(10), backoffMsMax: millis(20) },
    stopGraceMs: millis(5_000),
    ...change,
  };
}
