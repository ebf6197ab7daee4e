import type { ApplianceId } from "#base/ids.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { ApplianceState } from "#protocol/host-report.ts";
import type { Scheduled } from "#sim/kernel/event-heap.ts";

/** What is here of an appliance, on disk and in the kernel. */
export type SimulatedAppliance = {
  plan: AppliancePlan;
  /** "fenced" follows from the lease. starting: wanted to run, and its program has not taken over yet. */
  phase: Exclude<ApplianceState, "fenced">;
  restarts: number;
  /** Wall times of its host. */
  startedAt?: number | undefined;
  restartAt?: number | undefined;
  exitCode?: number | undefined;
  message?: string | undefined;
  lastDelayMs?: number | undefined;
  /** It ended by itself, and no manager has drawn a consequence from that yet. */
  unseenEnd: boolean;
  output: string;
  names: ReadonlyMap<string, string>;
  /** Before it last began to execute; machine.cpuUsedMs() tells all of it. */
  cpuUsedMs: number;
  /** How long its program still executes until it ends by itself. */
  endsInMs?: number | undefined;
  executesSinceMs?: number | undefined;
  /** When what executes here began, wherever that was: a live move takes it along, a restore is a new beginning. */
  begunAtMs?: number | undefined;
  /** The checkpoint it was made from. */
  beganFrom?: string | undefined;
  /** It goes on from what it was on another host. */
  cameByMove?: boolean;
  /** Of this run: what the next one only differs from. */
  lastCheckpoint?: string | undefined;
  /** Paused for a checkpoint, whatever else is wanted of it. */
  standsStill?: boolean;
  timer?: Scheduled | undefined;
};

/** One appliance as the machine has it, whatever its manager believes. */
export type ApplianceView = {
  readonly id: ApplianceId;
  readonly generation: string;
  readonly state: ApplianceState;
  readonly leased: boolean;
  /** Its instructions are carried out at this moment: neither stopped nor held. */
  readonly executes: boolean;
  readonly begunAtMs?: number | undefined;
  readonly beganFrom?: string | undefined;
  readonly cameByMove: boolean;
  /** What the machine guarantees it now. */
  readonly cpu: AppliancePlan["cpu"];
  readonly memoryBytes: AppliancePlan["memoryBytes"];
};

/** Nothing of it runs or is held. */
export function isOver(one: SimulatedAppliance): boolean {
  const waits = one.phase === "suspended" && one.startedAt === undefined;
  return waits || !["starting", "running", "stopping", "suspended"].includes(one.phase);
}

/** Its instructions are carried out at this moment. */
export const executes = (one: SimulatedAppliance): boolean => one.executesSinceMs !== undefined;

export const viewOf = (one: SimulatedAppliance, state: ApplianceState): ApplianceView => ({
  id: one.plan.id,
  generation: one.plan.generation,
  state,
  leased: one.plan.leased === true,
  executes: executes(one),
  begunAtMs: one.begunAtMs,
  beganFrom: one.beganFrom,
  cameByMove: one.cameByMove === true,
  cpu: one.plan.cpu,
  memoryBytes: one.plan.memoryBytes,
});
