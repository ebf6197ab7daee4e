import type { ApplianceId } from "#base/ids.ts";
import type { MachineSpec } from "./command/spec.ts";
import type { MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import type { MachinePlace } from "./move/ports.ts";
import type { RunningVm } from "./vm.ts";

/** Live moves of machines, as far as who runs them has to know. */
export interface Mover {
  /** One pass. `vm` absent: no QEMU of it answers. Without a plan, whatever is left of a move that has ended goes. */
  step(
    vm: RunningVm | undefined,
    place: MachinePlace,
    plan: MovePlan | undefined,
    signal: AbortSignal,
  ): Promise<void>;
  /** It must not run here (any more), whatever else is said: it has left, or has not arrived. */
  isElsewhere(id: ApplianceId): boolean;
  /** What is here of it is left of another move, and nothing that this one could use: it is to be made anew. */
  isOvertaken(id: ApplianceId, plan: MovePlan | undefined): boolean;
  /** As it can boot now: disks that have not come yet are read from where they are. */
  bootable(id: ApplianceId, spec: MachineSpec): MachineSpec;
  /** What it can boot from is about to change: nothing goes on before the listener has returned. */
  onBootable(listener: (id: ApplianceId) => void): void;
  report(id: ApplianceId): MoveReport | undefined;
  /** Nothing can be done for its move just now, worded for people; undefined: it goes on. */
  waits(id: ApplianceId, why: string | undefined): void;
  /** Its machine is gone from here. */
  forget(id: ApplianceId, place: MachinePlace | undefined, signal: AbortSignal): Promise<void>;
  onChange(listener: () => void): void;
  /** A machine never continues here, and may continue there: the other side waits for this word. */
  onSent(listener: (id: ApplianceId, move: string) => void): void;
  giveWord(id: ApplianceId, move: string): boolean;
}
