import type { Bytes, Micros, MilliCpu } from "#base/units.ts";

/** CPU time of a group: at most `quotaUs` in every `periodUs`. */
export type CpuQuota = { readonly quotaUs: Micros; readonly periodUs: Micros };

export type CgroupUsage = { readonly cpuUs: Micros; readonly memoryBytes: Bytes };

/**
 * One control group, the same path in every hierarchy of the machine. Calls are synchronous: a write to a kept
 * open file takes microseconds, a round through the thread pool fifty times as long. All throw `driver_failed`
 * with the file and the kernel's word for it.
 */
export interface Cgroup {
  readonly path: string;
  /** Makes it, and its ancestors, where missing. */
  create(): void;
  exists(): boolean;
  /** Moves a process (all its threads) into it. */
  attach(pid: number): void;
  /** The files a process id is written to, for a program that has to do it itself. */
  procsFiles(): readonly string[];
  /** The same for the number of a single thread. */
  threadFiles(): readonly string[];
  setCpu(limit: CpuQuota | "max"): void;
  /** Its part when CPU is scarce, as the CPU it is promised: 1000 is the kernel's default weight. */
  setWeight(share: MilliCpu): void;
  /** Refused with `conflict` where the kernel cannot lower it below what is used (v1). */
  setMemory(limit: Bytes | "max"): void;
  setPids(limit: number | "max"): void;
  usage(): CgroupUsage;
  cpuUsedUs(): Micros;
  memoryUsed(): Bytes;
  /** Processes the kernel killed in it for want of memory, ever. */
  oomKills(): number;
  freeze(): void;
  thaw(): void;
  isFrozen(): boolean;
  /** SIGKILL to all in it and below it, also when frozen. They may take a moment to be gone. */
  killAll(): void;
  /** Process ids in it, not below it. */
  pids(): number[];
  /** Numbers of the threads in it, not below it. */
  threads(): number[];
  /** Names of the groups directly below it, in any hierarchy. */
  children(): string[];
  /** Removes it and all below it; waits for dying processes. Rejects with `timeout` when something lives on. */
  remove(signal: AbortSignal): Promise<void>;
  /**
   * Of one that several owners have groups in, one of whom has removed its own: it goes if it is empty, and otherwise
   * holds and weighs no more than those in it do.
   */
  removeOrLower(): void;
  /** Lets go of the kept open files; it may be used again afterwards. */
  close(): void;
}

export interface Cgroups {
  /** No I/O; nothing need exist. `path` has no leading slash ("consort/lab/host-1"). */
  open(path: string): Cgroup;
  /**
   * A group only in the hierarchies that share out CPU time, count it and freeze. Memory and numbers of processes are
   * counted, and limited, where the group above it is.
   */
  openForCpu(path: string): Cgroup;
  /**
   * A group that takes some threads of a process without the others: only in the hierarchies of version 1 that share out
   * CPU time and freeze; memory is counted where the process is. Undefined where version 2 does either.
   */
  openForThreads(path: string): Cgroup | undefined;
}
