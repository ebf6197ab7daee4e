import type { ApplianceId, Ipv4Address } from "#base/ids.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { ApplianceKind, CpuRequest, Enforcement, RestartPolicy, TeamSpec } from "#model/ensemble.ts";
import type { DiskLimits } from "#model/vm.ts";
import type { Digest } from "#model/image.ts";
import type { AppliancePlan, SegmentPlan, VmPlan } from "#protocol/host-plan.ts";
import type { ApplianceState, SchedulingReport, VmReport } from "#protocol/host-report.ts";

/** What a driver may lack; a plan that needs it is refused before anything is changed. kvm: a guest has really run in it. */
export type ApplianceCapability =
  | "exec"
  | "resize"
  | "suspend"
  | "checkpoint"
  | "migrate"
  | "console"
  | "kvm";

/** What is known of one appliance on this host. `generation` is that of the plan it was created from. */
export type ApplianceObservation = {
  readonly id: ApplianceId;
  readonly generation: string;
  readonly state: ApplianceState;
  readonly startedAt?: Millis;
  readonly restarts: number;
  readonly exitCode?: number;
  readonly message?: string;
  readonly cpuUsedMs: Millis;
  readonly memoryBytes: Bytes;
  /** Path of its network namespace, where the network driver puts its interfaces. */
  readonly netns: string;
  /** What it is limited to now. */
  readonly cpu?: CpuRequest;
  /** As asked for; how it is kept in truth is in `scheduling`. */
  readonly enforcement?: Enforcement;
  readonly teams?: readonly TeamSpec[];
  /** Only of a reservation that is kept. */
  readonly scheduling?: SchedulingReport;
  readonly memoryLimitBytes?: Bytes;
  /** Only of machines; absent: their disks are as fast as they can be. */
  readonly diskLimits?: DiskLimits;
  readonly restart: RestartPolicy;
  readonly stopGraceMs: Millis;
  readonly leased?: boolean;
  readonly vm?: VmReport;
  /** Where a shell of it answers, as seen from inside its network namespace; absent: only `exec` runs programs in it. */
  readonly ssh?: SshPlace;
};

export type SshPlace = {
  readonly netns: string;
  readonly address: Ipv4Address;
  readonly port: number;
  readonly user: string;
  /** Its host key, as OpenSSH writes it. */
  readonly hostKey: string;
  /** What it lets its host in by, as OpenSSH writes it. */
  readonly privateKey: string;
};

/** What may change while it runs, except being suspended. Of `teams`, all but their names, jobs and order. */
export type LiveSettings = CpuSettings &
  Partial<Pick<AppliancePlan, "memoryBytes" | "restart" | "stopGraceMs" | "leased">> & {
    /** Only of machines: all of it, as far as there is any. */
    readonly vm?: Pick<VmPlan, "vcpus" | "disk">;
  };

/** The part of it that touches what others are promised, too. */
export type CpuSettings = Partial<Pick<AppliancePlan, "cpu" | "enforcement" | "teams">>;

export type ConsoleLine = {
  /** As if it were typed. */
  write(chunk: Uint8Array): void;
  readonly ended: Promise<void>;
};

export type ExecRequest = {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
  readonly onOutput: (stream: "stdout" | "stderr", chunk: Uint8Array) => void;
};

/**
 * Runs appliances of some kinds on one host. Every call is idempotent and survives being cut off at any point:
 * called again, or after `recover`, it finishes. Restart policy is the driver's: `observe` shows it.
 */
export interface ApplianceDriver {
  readonly kinds: readonly ApplianceKind[];
  readonly capabilities: ReadonlySet<ApplianceCapability>;
  /** Find all that carries this host's mark; adopt what runs, clear away what is half made. Called once, first. */
  recover(signal: AbortSignal): Promise<void>;
  /**
   * All appliances known here, from kept state; no I/O beyond cheap reads. The same list again, with what it holds
   * changed in place: nothing but their use of processor time and memory is another.
   */
  observe(): readonly ApplianceObservation[];
  /** What guests are told of their networks when they begin; told before any are created. */
  networks?(segments: readonly SegmentPlan[]): void;
  /** What it is to be made of was waited for, and is here; told before it is created. */
  contentCame?(id: ApplianceId, tookMs: Millis): void;
  /**
   * Make its namespaces, root and limits, without starting it. Rejects with `unsatisfiable`, leaving nothing, if its
   * reservation cannot be kept beside those that are here. Of a plan that is suspended it begins as suspended.
   */
  create(plan: AppliancePlan, names: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void>;
  /** Its interfaces are there: run its command. Refused with `unavailable` if it is leased and no lease lasts. */
  start(id: ApplianceId, signal: AbortSignal): Promise<void>;
  /** Politely, then for certain after `graceMs`. Nothing of it runs when this resolves. */
  stop(id: ApplianceId, graceMs: Millis, signal: AbortSignal): Promise<void>;
  /** Leave nothing of it behind; stops it first if need be. */
  destroy(id: ApplianceId, signal: AbortSignal): Promise<void>;
  /**
   * Change limits, or what is done when it ends, of appliances that may be running; what is absent stays. CPU settings
   * of all of them change at one moment or, refused with `unsatisfiable`, not at all; then, one after the other, the
   * rest. A second one in the same map gains what the first gives up.
   */
  adapt(changes: ReadonlyMap<ApplianceId, LiveSettings>, signal: AbortSignal): Promise<void>;
  /** Content of this host that what is here is made of, whatever its plan says: it cannot be started again without. */
  content?(): readonly Digest[];
  /** One pass of a machine's live move, as its plan has it; also called without one, so that what is left of it goes. */
  move?(plan: AppliancePlan, signal: AbortSignal): Promise<void>;
  /** Called when a machine never continues here and may continue on the host it moves to, which waits for this word. */
  onSent?(listener: (id: ApplianceId, move: string) => void): void;
  /** The word of the host a machine comes from. False: no such move comes here. */
  giveWord?(id: ApplianceId, move: string): boolean;
  /** Hold all its processes where they are, and let them go on. Refused with `conflict` unless it runs. */
  suspend(id: ApplianceId, signal: AbortSignal): Promise<void>;
  /** One that was suspended before it ever ran is `created` then. */
  resume(id: ApplianceId, signal: AbortSignal): Promise<void>;
  /**
   * Leased appliances run only until this moment of the driver's monotonic clock. When it passes they are held where
   * they are (`fenced`) by what outlives this process: no manager need be alive, awake or right for that. A later
   * moment lets them go on, an earlier one is ignored. Before the first call nothing leased starts; what an earlier
   * manager was granted lasts. What was suspended stays so, whatever becomes of the lease.
   */
  renewLease(until: Millis): void;
  /** Replace what names resolve to inside it (name → address). */
  setNames(id: ApplianceId, names: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void>;
  /** Run one more program inside it; resolves with its exit code. */
  exec(id: ApplianceId, request: ExecRequest, signal: AbortSignal): Promise<number>;
  /**
   * The serial console of a machine, until `signal` aborts or the machine ends. Several may have it open.
   * Rejects with `unsupported` for what has none, and with `unavailable` when it does not run.
   */
  console?(id: ApplianceId, onOutput: (chunk: Uint8Array) => void, signal: AbortSignal): Promise<ConsoleLine>;
  /** Up to `maxBytes` from the end of its output, oldest first. */
  readLog(id: ApplianceId, maxBytes: number, signal: AbortSignal): Promise<string>;
  /** Called whenever an observation may have changed by itself (a process ended, was restarted). */
  onChange(listener: () => void): void;
  /** Let go of everything without stopping anything; a later `recover` finds it again. */
  close(): Promise<void>;
}
