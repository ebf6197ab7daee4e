import { ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { together } from "#base/together.ts";
import { Wake } from "#base/wake.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { JobDriver, JobSpool } from "#drivers/job/port.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import type { MonitorDriver } from "#drivers/monitor/port.ts";
import type { NetworkDriver, TunnelDriver } from "#drivers/network/port.ts";
import { serveConsole } from "#host/consoles.ts";
import { Converger } from "#host/converge.ts";
import type { PlanKeeper } from "#drivers/store/port.ts";
import type { Checkpointer, StoreSweeper } from "#drivers/checkpoint/port.ts";
import { HostCheckpoints } from "#host/checkpoints.ts";
import { HostJobs } from "#host/jobs.ts";
import { HostContent } from "#host/content.ts";
import type { ContentDrivers } from "#host/content.ts";
import { HostMonitors } from "#host/monitors.ts";
import { Reporter } from "#host/reporter.ts";
import type { HostIdentity } from "#host/reporter.ts";
import type { Digest } from "#model/image.ts";
import { isOlder } from "#protocol/host-plan.ts";
import type { HostPlan, MovePlan } from "#protocol/host-plan.ts";
import type { HostProblem } from "#protocol/host-report.ts";
import type { JobOutput } from "#protocol/http/job.ts";
import { clusterAddress, hostAddress, movesRoom, topics } from "#protocol/topics.ts";
import type { GuestMeter, MachineMeter } from "#drivers/usage/port.ts";
import type {
  ConsoleBody,
  ExecBody,
  ExecResult,
  JobOutputBody,
  LogBody,
  LogResult,
  PlanReceipt,
  MoveWord,
} from "#protocol/topics.ts";

export type HostManagerParts = {
  readonly identity: HostIdentity;
  readonly clock: Clock;
  readonly log: Log;
  readonly messaging: Messaging;
  readonly appliances: ApplianceDriver;
  readonly network: NetworkDriver;
  /** Only at a site's gateway. */
  readonly tunnels?: TunnelDriver;
  /** Absent: nothing can be measured here. */
  readonly monitors?: MonitorDriver;
  /** Absent: nothing is known of the machine below. */
  readonly machine?: MachineMeter;
  /** Absent: no guests run here. */
  readonly guests?: GuestMeter;
  /** Absent: no jobs run here. */
  readonly jobs?: { readonly driver: JobDriver; readonly spool: JobSpool };
  /** Absent: it holds no content, and fetches none. */
  readonly content?: ContentDrivers;
  /** Absent: no checkpoints are taken here. */
  readonly checkpoints?: {
    readonly checkpointer: Checkpointer;
    readonly random: Random;
    /** Absent: nothing is kept in stores outside the cloud. */
    readonly sweeper?: StoreSweeper;
  };
  readonly keeper: PlanKeeper;
};

/**
 * Makes one host match its newest plan, and tells the cluster manager what it sees.
 *
 *   plan arrives ──► keep it durably ──► acknowledge
 *                            └─► wake ──► observe → decide → carry out ──► report ──► (again when something changes)
 *                                                                             └──► lease for what may run elsewhere
 *
 * It needs nobody to keep what runs running: it works from the plan it kept, adopts what it finds after its own
 * death, and never obeys a plan older than one it has seen (design: rules of the running system).
 */
export class HostManager {
  readonly #parts: HostManagerParts;
  readonly #wake: Wake;
  readonly #converger: Converger;
  readonly #reporter: Reporter;
  readonly #monitors: HostMonitors;
  readonly #jobs: HostJobs | undefined;
  readonly #checkpoints: HostCheckpoints | undefined;
  readonly #content: HostContent | undefined;
  /** Durable here, and obeyed. */
  #plan: HostPlan | undefined;
  /** The newest one that was ever received; it may not be durable yet. */
  #newest: HostPlan | undefined;
  #saving: Promise<void> = Promise.resolve();

  constructor(parts: HostManagerParts) {
    this.#parts = parts;
    this.#wake = new Wake(parts.clock);
    this.#content = this.#contentOf(parts);
    this.#converger = new Converger({
      appliances: parts.appliances,
      network: parts.network,
      tunnels: parts.tunnels,
      clock: parts.clock,
      log: parts.log,
      capacity: parts.identity.capacity,
      lacks: (appliance) => this.#content?.lacks(appliance),
      onBegun: (id) => this.#reporter.begun(id),
      onSettled: () => this.#wake.now(),
    });
    const { monitors, ...others } = parts;
    this.#monitors = new HostMonitors({
      ...others,
      host: parts.identity.host,
      ...(monitors === undefined ? {} : { driver: monitors }),
    });
    const { jobs, ...rest } = parts;
    if (jobs !== undefined) {
      this.#jobs = new HostJobs({ ...rest, ...jobs, onChange: () => this.#reporter.soon() });
    }
    const { checkpoints } = parts;
    if (checkpoints !== undefined) {
      const onChange = (): void => this.#reporter.soon();
      this.#checkpoints = new HostCheckpoints({
        ...rest,
        ...checkpoints,
        host: parts.identity.host,
        onChange,
      });
    }
    this.#reporter = new Reporter({
      ...rest,
      onLeaseBack: () => this.#wake.now(),
      jobs: () => this.#jobs?.reports() ?? [],
      checkpoints: () => this.#checkpoints?.report() ?? {},
      holds: () => this.#content?.report() ?? {},
    });
  }

  #contentOf(parts: HostManagerParts): HostContent | undefined {
    if (parts.content === undefined) return undefined;
    const onChange = (): void => {
      this.#wake.now();
      this.#reporter.soon();
    };
    const inUse = (): readonly Digest[] => parts.appliances.content?.() ?? [];
    return new HostContent({ ...parts, ...parts.content, host: parts.identity.host, inUse, onChange });
  }

  /** Runs until the signal aborts; leaves every appliance running. Rejects only when it cannot begin. */
  async run(signal: AbortSignal): Promise<void> {
    const { appliances, network, tunnels, keeper, log } = this.#parts;
    this.#plan = await keeper.load(signal);
    this.#newest = this.#plan;
    if (this.#plan !== undefined) this.#reporter.accepted(this.#plan);
    // First: what runs here may be made from it.
    await this.#content?.recover(signal);
    // What stands still at its last checkpoint is not to go on when its host has come back.
    await this.#checkpoints?.recover(signal);
    await Promise.all([
      appliances.recover(signal),
      network.recover(signal),
      tunnels?.recover(signal),
      this.#jobs?.recover(signal),
    ]);
    appliances.onChange(() => {
      this.#wake.now();
      this.#reporter.soon();
      this.#jobs?.look();
      this.#checkpoints?.look(signal);
    });
    tunnels?.onChange(() => this.#reporter.soon());
    this.#answer(signal);
    this.#content?.answer(signal);
    log.info("Host manager ready", { epoch: this.#plan?.epoch ?? 0, revision: this.#plan?.revision ?? 0 });
    try {
      await together(
        [
          (stop) => this.#converge(stop),
          (stop) => this.#reporter.run(stop),
          ...(this.#content === undefined ? [] : [(stop: AbortSignal) => this.#content!.run(stop)]),
        ],
        signal,
      );
    } finally {
      await this.#content?.close();
    }
  }

  async #converge(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const plan = this.#plan;
      let problems: readonly HostProblem[] = [];
      if (plan !== undefined) {
        this.#monitors.follow(plan, signal);
        this.#content?.follow(plan, signal);
        this.#jobs?.follow(plan, signal);
        this.#checkpoints?.follow(plan, signal);
        problems = await this.#converger.pass(plan, signal).catch((cause: unknown) => {
          signal.throwIfAborted();
          this.#parts.log.error("A converge pass failed", { cause });
          return [{ message: messageOf(cause) }];
        });
        this.#reporter.converged(plan, problems);
      }
      await this.#wake.wait(problems.length > 0 ? limits.convergeRetryMs : limits.convergeCheckMs, signal);
    }
  }

  #answer(signal: AbortSignal): void {
    const { messaging, appliances } = this.#parts;
    // A cluster manager that comes (back) learns of this host at once, not at the next heartbeat.
    messaging.onPresence(({ address, present }) => {
      if (present && address === clusterAddress) this.#reporter.soon();
    });
    messaging.answer(topics.plan, ({ body }) => this.#receive(body as HostPlan, signal));
    messaging.answer(topics.exec, async ({ body }, asked): Promise<ExecResult> => {
      const request = body as ExecBody;
      const exitCode = await appliances.exec(
        request.appliance,
        {
          command: request.command,
          env: request.env,
          ...(request.stdinBase64 === undefined ? {} : { stdin: Buffer.from(request.stdinBase64, "base64") }),
          onOutput: (stream, chunk) =>
            messaging.publish(request.room, { stream, dataBase64: Buffer.from(chunk).toString("base64") }),
        },
        AbortSignal.any([signal, asked]),
      );
      return { exitCode };
    });
    messaging.answer(topics.jobOutput, ({ body }, asked): Promise<JobOutput> => {
      const jobs = this.#jobs;
      if (jobs !== undefined) return jobs.output(body as JobOutputBody, asked);
      return Promise.reject(new ConsortError("not_found", "Cannot read a job's output: none run here"));
    });
    this.#answerMoves();
    messaging.answer(topics.console, ({ body }, asked) =>
      serveConsole(body as ConsoleBody, this.#parts, AbortSignal.any([signal, asked])),
    );
    messaging.answer(topics.log, async ({ body }, asked): Promise<LogResult> => {
      const { appliance, maxBytes } = body as LogBody;
      return { text: await appliances.readLog(appliance, Math.min(maxBytes, limits.logBytesMax), asked) };
    });
  }

  /**
   * A machine that moves stands still until its new host knows that it has left: told at once, host to host. What gets
   * lost, the cluster manager's next plan says too.
   */
  #answerMoves(): void {
    const { messaging, appliances, identity } = this.#parts;
    const sideOf = (id: ApplianceId, move: string): MovePlan | undefined => {
      const plan = this.#plan?.appliances.find((one) => one.id === id)?.vm?.move;
      return plan?.move === move ? plan : undefined;
    };
    messaging.subscribe(movesRoom(identity.host), (from, body) => {
      const { appliance, move } = body as MoveWord;
      const side = sideOf(appliance, move);
      if (side?.side === "arriving" && from === hostAddress(side.from))
        appliances.giveWord?.(appliance, move);
    });
    appliances.onSent?.((id, move) => {
      const side = sideOf(id, move);
      const word: MoveWord = { appliance: id, move };
      if (side?.side === "leaving") messaging.publish(movesRoom(side.to), word);
    });
  }

  /** Obeyed and acknowledged once it is durable. Plans are saved one after the other, so the file never goes back. */
  async #receive(plan: HostPlan, signal: AbortSignal): Promise<PlanReceipt> {
    if (plan.host !== this.#parts.identity.host) {
      throw new ConsortError(
        "bad_input",
        `Cannot accept a plan for ${plan.host}: this is ${this.#parts.identity.host}`,
      );
    }
    const current = this.#newest;
    if (current !== undefined && isOlder(plan, current)) {
      return { accepted: false, epoch: current.epoch, revision: current.revision };
    }
    this.#newest = plan;
    const saved = this.#saving.then(() => this.#save(plan, signal));
    this.#saving = saved.catch(() => {});
    await saved;
    return { accepted: true, epoch: plan.epoch, revision: plan.revision };
  }

  async #save(plan: HostPlan, signal: AbortSignal): Promise<void> {
    // It was received while a newer one was being saved.
    if (this.#plan !== undefined && isOlder(plan, this.#plan)) return;
    await this.#parts.keeper.save(plan, signal);
    this.#plan = plan;
    this.#wake.now();
    this.#reporter.accepted(plan);
    this.#reporter.soon();
  }
}
