import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { VmPlan } from "#protocol/host-plan.ts";
import type { RestoreRefusal } from "#protocol/host-report.ts";
import { exactly, isFlag, isNumber, isText, listOf, oneOf, optional, shape } from "#base/shape.ts";
import type { Millis } from "#base/units.ts";
import type { GuestIdentity } from "#drivers/guest/context/identity.ts";
import type { MachinePlan, PreparedDisk } from "./storage.ts";

/**
 * What is known of a machine beyond what its slot's record, its QEMU and its files tell. Written before what it tells
 * of is done; a directory without one belongs to no machine.
 */
export type MachineRecord = {
  /** Memory is that of the last resize. */
  plan: MachinePlan;
  readonly machine: "microvm" | "q35";
  readonly accel: "kvm" | "tcg";
  readonly identity: GuestIdentity;
  /** Absent: they are still being made. */
  disks?: readonly PreparedDisk[];
  stages: readonly { readonly stage: string; readonly tookMs: Millis }[];
  start: "cold" | "warm" | "restored";
  /** The last run that was begun: how, and whether its guest came to run. */
  run?: { readonly number: number; readonly way: "boot" | "other"; readonly up: boolean };
  /** A run in which it came from another host or goes on from a checkpoint, and when it was begun, wherever that was. */
  arrived?: { readonly run: number; readonly startedAt: Millis };
  /** Of what its plan has it begin from: how often it could not. */
  refused?: RestoreRefusal | undefined;
  /** The run in which its guest is stopped, or about to be, as it fills its host's disk. */
  heldInRun?: number | undefined;
  /** How a run ended that its QEMU could not tell of. */
  verdict?: { readonly run: number; readonly message: string };
};

/** Its QEMU is younger than it is: it came from another host, or goes on from a checkpoint. */
export function arrivalOf({ move, restore }: VmPlan, run: number): Pick<MachineRecord, "arrived"> {
  const from = restore?.cold === true ? undefined : restore?.checkpoints[0];
  const startedAt = move?.side === "arriving" ? move.startedAt : from?.startedAt;
  return startedAt === undefined ? {} : { arrived: { run, startedAt } };
}

/** Written by ourselves: what is checked is that the file is whole and is one of ours. */
const isRecord = exactly({
  plan: shape({ id: isText, generation: isText, vm: shape({ hostname: isText, vcpus: isNumber }) }),
  machine: oneOf("microvm", "q35"),
  accel: oneOf("kvm", "tcg"),
  identity: shape({ instance: isText, machineId: isText }),
  disks: optional(listOf(shape({ name: isText }))),
  stages: listOf(shape({ stage: isText, tookMs: isNumber })),
  start: oneOf("cold", "warm", "restored"),
  run: optional(shape({ number: isNumber, way: oneOf("boot", "other"), up: isFlag })),
  arrived: optional(shape({ run: isNumber, startedAt: isNumber })),
  refused: optional(shape({ checkpoint: isText, why: isText, times: isNumber })),
  heldInRun: optional(isNumber),
  verdict: optional(shape({ run: isNumber, message: isText })),
});

const fileName = "machine.json";

/** Whole or not at all, also when cut off. */
export function writeMachineRecord(directory: string, record: MachineRecord): void {
  const file = join(directory, fileName);
  // Flushed: a record lost with the power would have its disks taken for nobody's.
  writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600, flush: true });
  renameSync(`${file}.new`, file);
}

/** Undefined if there is none, or none that can be understood. */
export function readMachineRecord(directory: string): MachineRecord | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(join(directory, fileName), "utf8"));
    return isRecord(record) ? (record as unknown as MachineRecord) : undefined;
  } catch {
    return undefined;
  }
}
