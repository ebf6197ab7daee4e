import { RepeatedDeadline } from "#base/deadline.ts";
import { messageOf } from "#base/errors.ts";
import type { HostId, Ipv4Address, SiteName } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { bytes, milliCpu, millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { Wake } from "#base/wake.ts";
import type { ApplianceDriver, ApplianceObservation } from "#drivers/appliance/port.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { NetworkDriver, TunnelDriver } from "#drivers/network/port.ts";
import type { MachineMeter } from "#drivers/usage/port.ts";
import type {
  ApplianceReport,
  HostCapacity,
  HostProblem,
  HostReport,
  HostUsage,
  JobReport,
  PairCounter,
} from "#protocol/host-report.ts";
import { clusterAddress, topics } from "#protocol/topics.ts";
import type { ReportReceipt } from "#protocol/topics.ts";

/** What a host manager is told about its host when it starts. */
export type HostIdentity = {
  readonly host: HostId;
  readonly site: SiteName;
  readonly role: "host" | "gateway";
  readonly address: Ipv4Address;
  readonly siteSubnet: string;
  readonly outsideAddress?: Ipv4Address;
  readonly capacity: HostCapacity;
  readonly labels: Readonly<Record<string, string>>;
};

type ReporterParts = {
  readonly identity: HostIdentity;
  readonly clock: Clock;
  readonly log: Log;
  readonly messaging: Messaging;
  readonly appliances: ApplianceDriver;
  readonly network: NetworkDriver;
  readonly tunnels?: TunnelDriver;
  readonly machine?: MachineMeter;
  /** What was held for want of a lease may go on. */
  readonly onLeaseBack: () => void;
  /** Attempts that are here. */
  readonly jobs: () => readonly JobReport[];
  readonly checkpoints: () => Pick<HostReport, "checkpoints" | "checkpointRequests">;
  /** What of content is here and on its way. */
  readonly holds: () => Pick<HostReport, "blobPort" | "blobs" | "transfers" | "imports">;
};

/** Sends the host report: at every heartbeat, and at once when something worth knowing happened. */
export class Reporter {
  readonly #parts: ReporterParts;
  readonly #wake: Wake;
  readonly #deadline: RepeatedDeadline;
  #epoch = 0;
  #acceptedRevision = 0;
  #converged = { epoch: 0, revision: 0 };
  #problems: readonly HostProblem[] = [];
  #reached = true;
  #heartbeatMs: Millis = limits.heartbeatMs;
  #leaseEnd = millis(0);
  #counters: readonly PairCounter[] = [];
  #countersAt = millis(0 - limits.countersPeriodMs);
  #cpu: { at: Millis; usedMs: number } | undefined;
  #usage: HostUsage = { cpuMilli: milliCpu(0), memoryBytes: bytes(0) };

  constructor(parts: ReporterParts) {
    this.#parts = parts;
    this.#wake = new Wake(parts.clock);
    this.#deadline = new RepeatedDeadline(parts.clock);
  }

  /** Report without waiting for the heartbeat. */
  soon(): void {
    this.#wake.now();
  }

  /** The plan is durable here. */
  accepted(plan: { epoch: number; revision: number }): void {
    this.#epoch = plan.epoch;
    this.#acceptedRevision = plan.revision;
  }

  /** A pass towards the plan has ended; no problems: the host matches it. */
  converged(
    { epoch, revision }: { epoch: number; revision: number },
    problems: readonly HostProblem[],
  ): void {
    const before = this.#converged;
    const isNews =
      before.epoch !== epoch || before.revision !== revision || textOf(problems) !== textOf(this.#problems);
    this.#problems = problems;
    this.#converged = { epoch, revision };
    if (isNews) this.soon();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#send(signal);
      const share = this.#reached ? 1 : limits.reportRetryShare;
      await this.#wake.wait(millis(this.#heartbeatMs * share), signal);
    }
  }

  async #send(signal: AbortSignal): Promise<void> {
    const { messaging, clock, log } = this.#parts;
    try {
      const report = await this.#report(signal);
      const sentAt = clock.monotonic();
      // A report or its answer may get lost: then a newer one follows.
      const receipt = await this.#deadline.run(
        millis(this.#heartbeatMs * limits.reportAnswerShareMax),
        (deadline) => messaging.request(clusterAddress, topics.report, report, deadline),
        signal,
      );
      this.#obey(receipt as ReportReceipt, sentAt);
      if (!this.#reached) log.info("The cluster manager is back");
      this.#reached = true;
    } catch (cause) {
      signal.throwIfAborted();
      if (this.#reached) log.warn(`Cannot report to the cluster manager: ${messageOf(cause)}`);
      this.#reached = false;
    }
  }

  /** The lease counts from before the manager could know of the report, so it ends here first. */
  #obey(receipt: ReportReceipt, sentAt: Millis): void {
    // A manager whose time is over may not know it yet.
    if (receipt.epoch < this.#epoch) return;
    this.#heartbeatMs = receipt.heartbeatMs;
    if (receipt.leaseMs <= 0) return;
    const wasOver = this.#leaseEnd <= this.#parts.clock.monotonic();
    this.#leaseEnd = millis(sentAt + receipt.leaseMs);
    this.#parts.appliances.renewLease(this.#leaseEnd);
    if (wasOver) this.#parts.onLeaseBack();
  }

  async #report(signal: AbortSignal): Promise<HostReport> {
    const { identity, clock, appliances, tunnels } = this.#parts;
    await this.#count(signal);
    const tunnelPublicKey = await tunnels?.publicKey(signal);
    // From here on one moment: what is observed belongs to the revisions told with it.
    const observed = appliances.observe();
    this.#measure(observed);
    const { host, site, role, address, siteSubnet, outsideAddress, capacity, labels } = identity;
    const report: { -readonly [Key in keyof HostReport]: HostReport[Key] } = {
      host,
      site,
      role,
      address,
      siteSubnet,
      capacity,
      labels,
      at: clock.now(),
      capabilities: [...appliances.kinds.map((kind) => `appliance:${kind}`), ...appliances.capabilities],
      epoch: this.#epoch,
      acceptedRevision: this.#acceptedRevision,
      convergedRevision: this.#converged.epoch === this.#epoch ? this.#converged.revision : 0,
      appliances: observed.map(applianceReport),
      pairs: this.#counters,
      pairsReadAt: this.#countersAt,
      tunnels: tunnels?.observe() ?? [],
      usage: this.#usage,
      problems: this.#problems,
    };
    const jobs = this.#parts.jobs();
    if (jobs.length > 0) report.jobs = jobs;
    Object.assign(report, this.#parts.checkpoints());
    Object.assign(report, this.#parts.holds());
    if (outsideAddress !== undefined) report.outsideAddress = outsideAddress;
    if (tunnelPublicKey !== undefined) report.tunnelPublicKey = tunnelPublicKey;
    return report;
  }

  async #count(signal: AbortSignal): Promise<void> {
    const now = this.#parts.clock.monotonic();
    if (now - this.#countersAt < limits.countersPeriodMs) return;
    this.#countersAt = now;
    try {
      this.#counters = await this.#parts.network.counters(signal);
    } catch (cause) {
      signal.throwIfAborted();
      this.#parts.log.warn("Cannot read the counters", { cause });
    }
  }

  #measure(observed: readonly ApplianceObservation[]): void {
    const at = this.#parts.clock.monotonic();
    const usedMs = observed.reduce((sum, one) => sum + one.cpuUsedMs, 0);
    const before = this.#cpu;
    const cpu =
      before === undefined || at <= before.at
        ? 0
        : Math.max(0, ((usedMs - before.usedMs) / (at - before.at)) * 1000);
    this.#cpu = { at, usedMs };
    const machine = this.#parts.machine?.read();
    this.#usage = {
      cpuMilli: milliCpu(Math.round(cpu)),
      memoryBytes: bytes(observed.reduce((sum, one) => sum + one.memoryBytes, 0)),
      ...(machine === undefined ? {} : { machine }),
    };
  }
}

const textOf = (problems: readonly HostProblem[]): string =>
  problems.map((problem) => problem.message).join("\n");

/** Made for every appliance at every heartbeat: objects spread for what is absent would be most of the work. */
function applianceReport(one: ApplianceObservation): ApplianceReport {
  const { id, generation, state, restarts, cpuUsedMs, memoryBytes } = one;
  const report: { -readonly [Key in keyof ApplianceReport]: ApplianceReport[Key] } = {
    id,
    generation,
    state,
    restarts,
    cpuUsedMs,
    memoryBytes,
  };
  if (one.startedAt !== undefined) report.startedAt = one.startedAt;
  if (one.exitCode !== undefined) report.exitCode = one.exitCode;
  if (one.message !== undefined) report.message = one.message;
  if (one.leased !== undefined) report.leased = one.leased;
  if (one.scheduling !== undefined) report.scheduling = one.scheduling;
  if (one.vm !== undefined) report.vm = one.vm;
  return report;
}
