import { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import { WarmPool } from "#drivers/appliance/qemu/warm/pool.ts";
import { WarmStarter } from "#drivers/appliance/qemu/warm/starter.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock } from "../task/host.ts";
import { subprocess } from "./guest-machine.ts";
import { machineOptions, machinePlanOf } from "./machine-host.ts";

/** A driver, not recovered yet, whose machines may be resumed from snapshots below `stateDir`. */
export function warmDriver(
  tasks: TaskDriverOptions,
  guest: BuiltGuest,
  stateDir: string,
): { readonly driver: QemuDriver; readonly pool: WarmPool } {
  const pool = new WarmPool({ stateDir, clock, random: systemRandom(), subprocess, log: silentLog });
  const starter = new WarmStarter({ pool, qemuVersion: "this one", clock });
  return { driver: new QemuDriver({ ...machineOptions(tasks, guest), starters: [starter] }), pool };
}

/** It is to be resumed, or not to run. */
export function insistentPlan(guest: BuiltGuest): AppliancePlan {
  const plan = machinePlanOf(guest);
  return { ...plan, vm: { ...plan.vm!, start: "warm" } };
}
