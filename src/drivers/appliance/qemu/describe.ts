import { awaitedMove } from "#drivers/appliance/awaited-move.ts";
import type { ApplianceObservation, SshPlace } from "#drivers/appliance/port.ts";
import type { ApplianceState, MoveReport, RestoreRefusal, VmReport } from "#protocol/host-report.ts";
import { endWords, qemuWords } from "./guest-state.ts";
import type { GuestState } from "./guest-state.ts";
import type { MachineRecord } from "./record.ts";

/** What a guest said last of its context and of the command it was given. */
export type GuestWords = { readonly context?: "applied" | "failed"; readonly exitCode?: number };

/** All that is known of a machine besides what its slot shows. */
export type MachineFacts = {
  readonly record: MachineRecord;
  /** Number of the run that `guest` and `output` belong to. */
  readonly run: number;
  readonly guest: GuestState;
  readonly agent: { readonly expected: boolean; readonly answered: boolean; answers(): boolean };
  /** The end of what it wrote, of a run that is over. */
  readonly output: string;
  readonly told: GuestWords;
  /** Why its guest does not run yet. */
  readonly problem: string | undefined;
  readonly move: MoveReport | undefined;
  /** It runs on another host, or does so still. */
  readonly isElsewhere: boolean;
};

const sshPort = 22;

export const isOver = (state: ApplianceState): boolean =>
  state === "exited" || state === "failed" || state === "backoff" || state === "stopped";

/** What the slot shows, as what it is: a machine. */
export function describe(slot: ApplianceObservation, facts: MachineFacts): ApplianceObservation {
  const { record, run } = facts;
  const judged = record.verdict?.run === run ? record.verdict : undefined;
  const state = judged === undefined ? stateOf(slot.state, facts) : "failed";
  const message = judged?.message ?? messageFor(slot, state, facts);
  const ssh = sshOf(slot, record);
  const { message: _command, memoryLimitBytes: _host, ...rest } = slot;
  return {
    ...rest,
    state,
    vm: reportOf(facts),
    ...(record.arrived?.run === run ? { startedAt: record.arrived.startedAt } : {}),
    ...(ssh === undefined || state !== "running" ? {} : { ssh }),
    memoryLimitBytes: record.plan.memoryBytes,
    ...(record.plan.vm.disk === undefined ? {} : { diskLimits: record.plan.vm.disk }),
    ...(message === undefined ? {} : { message }),
  };
}

/** Guests that take their identity from us have a shell for root, and the keys that we gave them. */
function sshOf({ netns }: ApplianceObservation, { plan, identity }: MachineRecord): SshPlace | undefined {
  const address = plan.interfaces[0]?.address;
  const { features } = plan.vm.base;
  const { sshHostKey, login } = identity;
  const takes = features.includes("context") || features.includes("seed");
  if (address === undefined || login === undefined || !takes) return undefined;
  const keys = { hostKey: sshHostKey.publicKey, privateKey: login.openSsh };
  return { netns, address, port: sshPort, user: "root", ...keys };
}

/** QEMU's process is there before its guest is. */
function stateOf(slot: ApplianceState, { record, run, isElsewhere }: MachineFacts): ApplianceState {
  if (isElsewhere) return record.plan.vm.move?.side === "arriving" ? "starting" : "stopped";
  if (slot !== "running") return slot;
  return isUp(record, run) ? "running" : "starting";
}

const isUp = ({ run: last }: MachineRecord, run: number): boolean => last?.number === run && last.up;

function messageFor(
  slot: ApplianceObservation,
  state: ApplianceState,
  facts: MachineFacts,
): string | undefined {
  const { guest, agent, problem } = facts;
  if (facts.isElsewhere && state === "stopped") return "It went on on another host";
  if (slot.state === "exited") return endWords(guest);
  if (facts.record.refused !== undefined) return refusalWords(facts.record.refused);
  if (isOver(slot.state)) return endMessage(slot, facts);
  if (state === "starting" || state === "created") return problem;
  if (facts.record.heldInRun === facts.run && guest.status === "paused") return heldWords;
  if (guest.status === "io-error") return `Its guest is held: ${guest.ioError ?? "its disk failed"}`;
  if (guest.status === "internal-error") return "Its guest is held: its processor cannot go on";
  if (guest.panic !== undefined) return `Its guest panicked (${guest.panic}) and began anew`;
  if (state === "running" && agent.answered && !agent.answers()) return "Its guest does not answer";
  if (slot.state === "stopping" && slot.exitCode !== undefined) return endMessage(slot, facts);
  return (state === "running" ? wordsOf(facts.told) : undefined) ?? slot.message;
}

const heldWords =
  "Its guest is held until there is room again: its host's disk is nearly full, and it fills it";

const refusalWords = ({ checkpoint, why, times }: RestoreRefusal): string =>
  `It could not go on from ${checkpoint}, tried ${times === 1 ? "once" : `${times} times`}: ${why}`;

/** What a guest says of itself while it runs: its machine goes on, whatever became of its command. */
function wordsOf({ context, exitCode }: GuestWords): string | undefined {
  if (context === "failed") return "Its guest could not take on all of its context; its console tells what";
  if (exitCode === undefined) return undefined;
  return `Its command ended with exit code ${exitCode}; its machine runs on`;
}

function endMessage({ message, exitCode }: ApplianceObservation, facts: MachineFacts): string | undefined {
  const { move } = facts;
  if (move?.phase === "running-remote-disks" && move.message !== undefined)
    return `Its machine was ended: ${move.message}`;
  const words = endWords(facts.guest);
  if (words !== undefined) return words;
  if (exitCode !== 1) return message?.replace("Its command", "Its machine (QEMU)");
  const { record, run, output } = facts;
  const hasRun = isUp(record, run);
  const said = hasRun ? undefined : qemuWords(output);
  // It ends by itself when who sent to it does not go on.
  if (!hasRun && record.plan.vm.move?.side === "arriving")
    return `Its move ended before it ran here${said === undefined ? "" : ` (QEMU: ${said})`}`;
  // With nobody there to hear it, a panic leaves nothing but its exit code.
  return said === undefined ? "Its guest panicked, or QEMU failed (exit code 1)" : `QEMU: ${said}`;
}

function reportOf({ record, agent, move = awaitedMove(record.plan.vm) }: MachineFacts): VmReport {
  const { machine, accel, start, plan, stages } = record;
  const has = plan.vm.base.features.includes("agent") || agent.expected;
  return {
    machine,
    accel,
    start,
    vcpus: plan.vm.vcpus,
    memoryBytes: plan.memoryBytes,
    agent: has ? (agent.answers() ? "answers" : "silent") : "none",
    stages,
    ...(record.refused === undefined ? {} : { refused: record.refused }),
    ...(move === undefined ? {} : { move }),
  };
}
