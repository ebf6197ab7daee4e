import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { micros, millis } from "#base/units.ts";
import { conformancePlan } from "#drivers/appliance/conformance.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import type { CpuScheduler } from "#drivers/scheduling/port.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { jsonLog } from "#drivers/system/log.ts";
import type { CpuReservation } from "#model/ensemble.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { cgroups, clock, signal } from "./host.ts";

/** The appliances that are attacked, and how a manager of their host begins. */
export const names = ["table-1", "table-2", "quota", "turns"] as const;
export const capacityMilli = 800;
export const periodUs = micros(40_000);

export type AttackedPlace = {
  readonly runDir: string;
  readonly stateDir: string;
  readonly cgroupParent: string;
  readonly netnsPrefix: string;
};

export const reserved = (ms: number): CpuReservation => ({
  kind: "reservation",
  periodUs,
  executionUs: micros(ms * 1000),
});

/** Light, so that the machine's other work is left alone, and always moving. */
const ticking = ["sh", "-c", "while :; do sleep 0.01; done"];

export function planOf(name: (typeof names)[number], ms: number): AppliancePlan {
  const turns = { name: "team", policy: "round-robin", jobs: [ticking, ticking], teams: [] } as const;
  return conformancePlan({
    id: applianceId(ensembleName("attack"), applianceName(name)),
    command: ticking,
    cpu: reserved(ms),
    enforcement: name === "quota" ? "bandwidth" : "dispatch-table",
    restart: { when: "always", backoffMsMin: millis(20), backoffMsMax: millis(20) },
    ...(name === "turns" ? { teams: [turns] } : {}),
  });
}

export async function openAttacked(
  place: AttackedPlace,
): Promise<{ driver: TaskDriver; scheduler: CpuScheduler }> {
  const { runDir, stateDir, cgroupParent, netnsPrefix } = place;
  const log = jsonLog({ clock, fd: 2, level: "error" });
  mkdirSync(runDir, { recursive: true });
  const scheduler = createCpuScheduler({
    directory: join(runDir, "scheduling"),
    layout: machineLayout(),
    cgroupParent,
    processors: [{ milli: capacityMilli }],
    log,
  });
  const options: TaskDriverOptions = {
    stateDir,
    cgroupParent,
    netnsPrefix,
    cgroups,
    scheduler,
    clock,
    log,
    poolSize: 0,
  };
  const driver = new TaskDriver(options);
  await driver.recover(signal);
  return { driver, scheduler };
}
