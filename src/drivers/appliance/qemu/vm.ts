import type { ApplianceId } from "#base/ids.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

/** The line to one QEMU process (QMP over a Unix socket). Commands are answered in order; events come between. */
export interface Qmp {
  /** Rejects with `driver_failed` and QEMU's own words, or `unavailable` when the line is lost. */
  execute(command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<unknown>;
  /** Returns what ends it. */
  onEvent(listener: (event: QmpEvent) => void): () => void;
  /** Aborted when the line is lost. */
  readonly closed: AbortSignal;
  /** File descriptors cannot go through Node: what QEMU is to open, it opens by path in its own namespaces. */
  close(): void;
}

export type QmpEvent = {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly timestampMs: number;
};

/** A writable disk of a machine. */
export type VmDisk = {
  /** "root", "home", "swap"; of its block node in QEMU, too. */
  readonly name: string;
  /** On the host, below the machine's directory: the layer that it writes into. */
  readonly file: string;
  /** Read-only layers below, the lowest last; paths of blobs. */
  readonly below: readonly string[];
};

/** One machine whose QEMU runs here, for what changes, copies or moves it. */
export interface RunningVm {
  readonly id: ApplianceId;
  readonly plan: AppliancePlan;
  /** On the host; QEMU sees it at `inside`, and may write there. */
  readonly directory: string;
  readonly inside: string;
  readonly netns: string;
  readonly cgroup: Cgroup;
  readonly disks: readonly VmDisk[];
  readonly qmp: Qmp;
  readonly agent: GuestAgent;
  /** One more program in its slot, beside QEMU and confined like it; `output` holds what it wrote, to its limit. */
  run(
    command: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number; readonly output: string }>;
}

/** Programs in the guest that answer, if they do: a guest may lie or never answer, so everything has a limit. */
export interface GuestAgent {
  /** Rejects with `unavailable` when nothing answers in time. */
  execute(command: string, args: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<unknown>;
  /** Whether anything answered of late. */
  answers(): boolean;
}
