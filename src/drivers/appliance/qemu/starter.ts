import type { NetworkId } from "#base/ids.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { ContextNetwork, GuestContext } from "#drivers/guest/context/content.ts";
import type { VmReport } from "#protocol/host-report.ts";
import type { MachineSpec } from "./command/spec.ts";
import type { MachinePlace } from "./place.ts";
import type { MachineRecord } from "./record.ts";
import type { RunningVm } from "./vm.ts";

/** A machine that is about to run for the first time here. */
export type Beginning = {
  readonly record: MachineRecord;
  readonly place: MachinePlace;
  readonly uid: number;
  /** As it would boot. */
  readonly spec: MachineSpec;
  /** What its guest is told of itself; with the time for one that is resumed. */
  readonly context: (clockMs?: number) => GuestContext;
  readonly networks: ReadonlyMap<NetworkId, ContextNetwork>;
  /** Where slots are made, for machines that nobody asked for: those without a record here are not shown. */
  readonly slots: TaskDriver;
};

/** Another way than booting for a guest to come to run. */
export type StartWay = {
  readonly start: VmReport["start"];
  readonly spec: MachineSpec;
  /** Told when it is up, as parts of its creation; whole by then. */
  readonly stages?: VmReport["stages"];
  /**
   * QEMU waits, and answers. Resolves when the guest goes on, or, of one that arrives from another host, when it may
   * be sent. What it rejects with is told, the machine ended, and another attempt made.
   */
  bringUp(vm: RunningVm, signal: AbortSignal): Promise<void>;
};

/** Asked in turn at a machine's first run; the first that has a way is taken, without one it boots. */
export interface Starter {
  begin(machine: Beginning, signal: AbortSignal): Promise<StartWay | undefined>;
}
