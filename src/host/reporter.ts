import { RepeatedDeadline } from "#base/deadline.ts";
import { messageOf } from "#base/errors.ts";
import type { ApplianceId, HostId, Ipv4Address, SiteName } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { bytes, milliCpu, millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { Wake } from "#base/wake.ts";
import type { ApplianceDriver, ApplianceObservation } from "#drivers/appliance/port.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { NetworkDriver, TunnelDriver } from "#drivers/network/port.ts";
import type { GuestMeter, MachineMeter } from "#drivers/usage/port.ts";
import { Told } from "#host/told.ts";
import type { Standing } from "#host/told.ts";
import type {
  ApplianceReport,
  Heartbeat,
  HostCapacity,
  HostProblem,
  HostReport,
  HostUsage,
  JobReport,
  PairCounter,
  ReportMark,
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
  readonly guests?: GuestMeter;
  /** What was held for want of a lease may go on. */
  readonly onLeaseBack: () => void;
  /** Attempts that are here. */
  readonly jobs: () => readonly JobReport[];
  readonly checkpoints: () => Pick<HostReport, "checkpoints" | "checkpointRequests" | "stores">;
  /** What of content is here and on its way. */
  readonly holds: () => Pick<HostReport, "blobPort" | "blobs" | "transfers" | "imports">;
};

/**
 * Sends the host report: at every heartbeat, and at once when something worth knowing happened. A heartbeat is enough
 * while the cluster manager is known to have a report that still holds.
 */
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
  /** What the cluster manager has of this host, if it is known to. */
  #known: { readonly mark: ReportMark; readonly told: Told } | undefined;
  #able: { readonly of: unknown; readonly told: readonly string[] } = { of: undefined, told: [] };

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

  /** What kept this from being made is over. */
  begun(id: ApplianceId): void {
    const message = `${id} is being made`;
    this.#problems = this.#problems.map((problem) =>
      problem.appliance === id ? { appliance: id, message, underWay: true } : problem,
    );
    this.soon();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#send(signal);
      const share = this.#reached ? 1 : limits.reportRetryShare;
      await this.#wake.wait(millis(this.#heartbeatMs * share), signal);
    }
  }

  async #send(signal: AbortSignal): Promise<void> {
    const { clock, log, appliances, tunnels } = this.#parts;
    try {
      if (this.#areCountersDue()) await this.#count(signal);
      const tunnelPublicKey = tunnels === undefined ? undefined : await tunnels.publicKey(signal);
      // From here on one moment: what is observed belongs to the revisions told with it.
      const observed = appliances.observe();
      this.#measure(observed);
      const standing = this.#standing(tunnelPublicKey);
      const sentAt = clock.monotonic();
      const known = this.#known;
      // Should this or its answer get lost, all is told again.
      this.#known = undefined;
      const receipt =
        known?.told.holds(standing, observed) === true
          ? await this.#tellAgain(known.told, this.#heartbeat(known.mark, observed), signal)
          : await this.#tell(standing, observed, signal);
      this.#obey(receipt, sentAt);
      if (!this.#reached) log.info("The cluster manager is back");
      this.#reached = true;
    } catch (cause) {
      signal.throwIfAborted();
      if (this.#reached) log.warn(`Cannot report to the cluster manager: ${messageOf(cause)}`);
      this.#reached = false;
    }
  }

  async #tell(
    standing: Standing,
    observed: readonly ApplianceObservation[],
    signal: AbortSignal,
  ): Promise<ReportReceipt> {
    const report = this.#report(standing, observed);
    const { appliances } = report;
    const told = new Told(standing, { observed, appliances });
    const receipt = await this.#ask(topics.report, report, signal);
    if (receipt.mark !== undefined) this.#known = { mark: receipt.mark, told };
    return receipt;
  }

  async #tellAgain(told: Told, heartbeat: Heartbeat, signal: AbortSignal): Promise<ReportReceipt> {
    const receipt = await this.#ask(topics.heartbeat, heartbeat, signal);
    if (receipt.mark === undefined) this.soon();
    else this.#known = { mark: receipt.mark, told };
    return receipt;
  }

  /** A report or its answer may get lost: then a newer one follows. */
  #ask(topic: string, body: HostReport | Heartbeat, signal: AbortSignal): Promise<ReportReceipt> {
    return this.#deadline.run(
      millis(this.#heartbeatMs * limits.reportAnswerShareMax),
      (deadline) =>
        this.#parts.messaging.request(clusterAddress, topic, body, deadline) as Promise<ReportReceipt>,
      signal,
    );
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

  #standing(tunnelPublicKey: string | undefined): Standing {
    const { tunnels, jobs } = this.#parts;
    const standing: { -readonly [Key in keyof Standing]: Standing[Key] } = {
      capabilities: this.#capabilities(),
      epoch: this.#epoch,
      acceptedRevision: this.#acceptedRevision,
      convergedRevision: this.#converged.epoch === this.#epoch ? this.#converged.revision : 0,
      tunnels: tunnels?.observe() ?? [],
      problems: this.#problems,
    };
    const attempts = jobs();
    if (attempts.length > 0) standing.jobs = attempts;
    Object.assign(standing, this.#parts.checkpoints());
    Object.assign(standing, this.#parts.holds());
    if (tunnelPublicKey !== undefined) standing.tunnelPublicKey = tunnelPublicKey;
    return standing;
  }

  #capabilities(): readonly string[] {
    const { kinds, capabilities } = this.#parts.appliances;
    if (this.#able.of !== capabilities) {
      this.#able = {
        of: capabilities,
        told: [...kinds.map((kind) => `appliance:${kind}`), ...capabilities],
      };
    }
    return this.#able.told;
  }

  #report(standing: Standing, observed: readonly ApplianceObservation[]): HostReport {
    const { host, site, role, address, siteSubnet, outsideAddress, capacity, labels } = this.#parts.identity;
    const outside = outsideAddress === undefined ? {} : { outsideAddress };
    return {
      host,
      site,
      role,
      address,
      siteSubnet,
      ...outside,
      capacity,
      labels,
      at: this.#parts.clock.now(),
      ...standing,
      appliances: observed.map(applianceReport),
      pairs: this.#counters,
      pairsReadAt: this.#countersAt,
      usage: this.#usage,
    };
  }

  #heartbeat(mark: ReportMark, observed: readonly ApplianceObservation[]): Heartbeat {
    return {
      host: this.#parts.identity.host,
      mark,
      at: this.#parts.clock.now(),
      cpuUsedMs: observed.map((one) => one.cpuUsedMs),
      memoryBytes: observed.map((one) => one.memoryBytes),
      usage: this.#usage,
      pairs: this.#counters,
      pairsReadAt: this.#countersAt,
    };
  }

  #areCountersDue(): boolean {
    return this.#parts.clock.monotonic() - this.#countersAt >= limits.countersPeriodMs;
  }

  async #count(signal: AbortSignal): Promise<void> {
    this.#countersAt = this.#parts.clock.monotonic();
    try {
      this.#counters = await this.#parts.network.counters(signal);
    } catch (cause) {
      signal.throwIfAborted();
      this.#parts.log.warn("Cannot read the counters", { cause });
    }
  }

  #measure(observed: readonly ApplianceObservation[]): void {
    const at = this.#parts.clock.monotonic();
    let usedMs = 0;
    let memoryBytes = 0;
    for (const one of observed) {
      usedMs += one.cpuUsedMs;
      memoryBytes += one.memoryBytes;
    }
    const before = this.#cpu;
    const cpu =
      before === undefined || at <= before.at
        ? 0
        : Math.max(0, ((usedMs - before.usedMs) / (at - before.at)) * 1000);
    this.#cpu = { at, usedMs };
    const machine = this.#parts.machine?.read();
    const guests = this.#parts.guests?.read() ?? {};
    this.#usage = {
      cpuMilli: milliCpu(Math.round(cpu)),
      memoryBytes: bytes(memoryBytes),
      ...(machine === undefined ? {} : { machine }),
      ...(Object.keys(guests).length === 0 ? {} : { guests }),
    };
  }
}

const textOf = (problems: readonly HostProblem[]): string =>
  problems.map((problem) => problem.message).join("\n");

/** Objects spread for what is absent would be most of the work. */
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
