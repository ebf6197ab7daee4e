import { join } from "node:path";
import { applianceId, applianceName, ensembleName, ipv4Address, macAddress } from "#base/ids.ts";
import type { ApplianceId, HostId, Ipv4Address, MacAddress } from "#base/ids.ts";
import { mebibytes, megabitsPerSecond, millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { BookedScheduler } from "#drivers/appliance/task/scheduler.fixture.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { jsonLog } from "#drivers/system/log.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import type { CheckpointReport, CheckpointRequestReport } from "#protocol/host-report.ts";
import { cgroups, clock } from "../task/host.ts";
import { machinePlanOf } from "./machine-host.ts";
import type { KernelNetwork } from "./attacked-networks.ts";
import { front } from "./plans.ts";

/** Where one host keeps what it has, whoever manages it. */
export type AttackedPlace = Pick<TaskDriverOptions, "stateDir" | "cgroupParent" | "netnsPrefix"> & {
  readonly host: HostId;
  /** Of its part of moves, and of what it keeps for others. */
  readonly address: Ipv4Address;
};

/** Of all that a host's network driver makes. */
export const linkMark = "cst";
export const uplink = { interface: "uplink", bandwidthBps: megabitsPerSecond(1000) } as const;

export const slotOptions = ({ stateDir, cgroupParent, netnsPrefix }: AttackedPlace): TaskDriverOptions => ({
  stateDir,
  cgroupParent,
  netnsPrefix,
  cgroups,
  scheduler: new BookedScheduler(),
  clock,
  log: jsonLog({ clock, fd: 2, level: "error" }),
  poolSize: 0,
});

/** Of those who fetch content from each other. */
export const blobToken = "token of the attack";

export const movesIn = (place: AttackedPlace): string => join(place.stateDir, "moves");

export const checkpointsIn = (place: AttackedPlace): string => join(place.stateDir, "checkpoints");

export type ToHost =
  | { readonly kind: "plan"; readonly plan: HostPlan }
  | { readonly kind: "word"; readonly id: ApplianceId; readonly move: string }
  | { readonly kind: "run"; readonly number: number; readonly id: ApplianceId; readonly script: string };

export type FromHost =
  | {
      readonly kind: "saw";
      /** Of the plan that was followed; 0: none yet. */
      readonly revision: number;
      readonly observed: readonly ApplianceObservation[];
      readonly problems: readonly string[];
      /** Where it gives content to others. */
      readonly blobPort: number;
      readonly checkpoints: readonly CheckpointReport[];
      readonly requests: readonly CheckpointRequestReport[];
      /** Of which it has any record of checkpoints. */
      readonly onRecord: readonly ApplianceId[];
      readonly network: KernelNetwork;
    }
  | { readonly kind: "sent"; readonly id: ApplianceId; readonly move: string }
  | { readonly kind: "ran"; readonly number: number; readonly said: string }
  | { readonly kind: "refused"; readonly number: number; readonly why: string };

/** disk: with a disk of its own, and room to grow. plain: without. The others go on from a snapshot where there is one. */
const machines = { disk: 2, plain: 3, warm1: 4, warm2: 5, warm3: 6, warm4: 7, warm5: 8, warm6: 9 } as const;
export type MachineName = keyof typeof machines;
export const machineNames = Object.keys(machines) as readonly MachineName[];
export const isWarm = (name: MachineName): boolean => name.startsWith("warm");

export const macOf = (name: MachineName): MacAddress => macAddress(`02:00:00:00:00:0${machines[name]}`);
export const addressOf = (name: MachineName): Ipv4Address => ipv4Address(`10.9.0.${machines[name]}`);

export const idOf = (name: MachineName): ApplianceId =>
  applianceId(ensembleName("attack"), applianceName(name));

export function attackedPlan(guest: BuiltGuest, name: MachineName, generation: number): AppliancePlan {
  const plan = machinePlanOf(guest);
  const own =
    name === "disk"
      ? { homeBytes: mebibytes(64), vcpusMax: 2, memoryBytesMax: mebibytes(320) }
      : { machine: isWarm(name) ? ("auto" as const) : ("q35" as const) };
  return {
    ...plan,
    id: idOf(name),
    generation: String(generation),
    restart: { when: "always", backoffMsMin: millis(20), backoffMsMax: millis(100) },
    // Guests end at once or not at all.
    stopGraceMs: millis(0),
    ...(name === "disk" ? { memoryBytes: mebibytes(192) } : {}),
    interfaces: [
      {
        name: "eth0",
        network: front,
        mac: macOf(name),
        address: addressOf(name),
        prefixLength: 24,
      },
    ],
    vm: { ...plan.vm!, hostname: name, start: isWarm(name) ? "auto" : "cold", ...own },
  };
}
