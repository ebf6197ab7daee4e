import { messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { NetworkDriver, TunnelDriver } from "#drivers/network/port.ts";
import { decideNetwork, decideSteps, namesFor } from "#host/decide.ts";
import type { HostSteps } from "#host/decide.ts";
import { graceOf } from "#host/grace.ts";
import type { Room } from "#host/room.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import type { ApplianceState, HostProblem } from "#protocol/host-report.ts";

/** Does a part of a pass; what it throws becomes a problem, of the appliance or of the host. */
type Attempt = (what: string, appliance: ApplianceId | undefined, work: () => Promise<void>) => Promise<void>;

/** Stopped: a removal that was cut short, and is wanted again. */
const mayStart = new Set<ApplianceState | undefined>(["created", "stopped"]);

const changesCpu = "change the CPU time of";

/**
 * Carries out what decide.ts decided. One pass at a time; a stop that takes its grace goes on beside later
 * passes, so that one stubborn appliance never holds up another.
 */
export class Converger {
  readonly #appliances: ApplianceDriver;
  readonly #network: NetworkDriver;
  readonly #tunnels: TunnelDriver | undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onSettled: () => void;
  readonly #capacity: Room;
  readonly #lacks: (appliance: AppliancePlan) => string | undefined;
  readonly #onBegun: ((id: ApplianceId) => void) | undefined;
  /** What the last pass could not make yet. */
  #waited: ReadonlySet<ApplianceId> = new Set();
  /** Since when what it is made of was seen to be missing. */
  readonly #lackedSince = new Map<ApplianceId, Millis>();
  readonly #busy = new Set<ApplianceId>();
  /** Why the last attempt to destroy it failed. */
  readonly #stuck = new Map<ApplianceId, string>();
  /** Problems of the last pass: logged then. */
  #told: ReadonlySet<string> = new Set();
  /** Names last written into each appliance, as text. */
  readonly #names = new Map<ApplianceId, string>();
  /** The plan by which it was last seen to know its neighbours. */
  readonly #named = new Map<ApplianceId, HostPlan>();

  constructor(parts: {
    appliances: ApplianceDriver;
    network: NetworkDriver;
    tunnels: TunnelDriver | undefined;
    clock: Clock;
    log: Log;
    capacity: Room;
    /** Why an appliance cannot be made yet; absent: all that is needed is always here. */
    lacks?: (appliance: AppliancePlan) => string | undefined;
    /** Called when one is made that could not be made before: a pass may take long, and tells its problems at its end. */
    onBegun?: (id: ApplianceId) => void;
    /** Called when work that outlived its pass has ended. */
    onSettled: () => void;
  }) {
    this.#appliances = parts.appliances;
    this.#network = parts.network;
    this.#tunnels = parts.tunnels;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#onSettled = parts.onSettled;
    this.#capacity = parts.capacity;
    this.#lacks = parts.lacks ?? (() => undefined);
    this.#onBegun = parts.onBegun;
  }

  /** One pass. Resolves with what still keeps the host from its plan; empty when it matches. */
  async pass(plan: HostPlan, signal: AbortSignal): Promise<HostProblem[]> {
    const problems: HostProblem[] = [];
    const attempt: Attempt = async (what, appliance, work) => {
      try {
        await work();
      } catch (cause) {
        signal.throwIfAborted();
        const message = `${what}: ${messageOf(cause)}`;
        problems.push({ message, ...(appliance === undefined ? {} : { appliance }) });
        if (!this.#told.has(message)) this.#log.warn(`Cannot ${what}`, { cause });
      }
    };

    const steps = decideSteps(plan, this.#appliances.observe(), this.#busy, this.#capacity);
    for (const id of steps.destroy) this.#destroy(id, plan, signal);
    for (const id of steps.waiting) {
      problems.push({ appliance: id, message: `${id} waits until others here have stopped` });
    }
    const create = this.#whole(steps.create, problems);
    for (const { id } of create) if (this.#waited.has(id)) this.#onBegun?.(id);
    this.#waited = new Set(problems.flatMap(({ appliance }) => appliance ?? []));
    await this.#adapt(steps.adapt, problems, signal);
    this.#appliances.networks?.(plan.segments);
    await Promise.all(
      create.map((appliance) => {
        const names = namesFor(plan, appliance);
        return attempt(`create ${appliance.id}`, appliance.id, async () => {
          await this.#appliances.create(appliance, names, signal);
          this.#names.set(appliance.id, namesText(names));
        });
      }),
    );
    await attempt("set up the network", undefined, () =>
      this.#network.converge(decideNetwork(plan, this.#appliances.observe()), signal),
    );
    await this.#startAndAdjust(plan, steps, attempt, signal);
    await this.#move(plan, attempt, signal);
    const tunnels = this.#tunnels;
    if (tunnels !== undefined) {
      await attempt("set up the tunnels", undefined, () => tunnels.converge(plan.tunnels, signal));
    }
    for (const id of this.#busy) {
      const before = this.#stuck.get(id);
      problems.push({ appliance: id, message: `stopping ${id}${before === undefined ? "" : `: ${before}`}` });
    }
    this.#told = new Set(problems.map((problem) => problem.message));
    return problems;
  }

  /** Those of which all is here. Who makes them is told how long that took, if it had to be waited for. */
  #whole(wanted: readonly AppliancePlan[], problems: HostProblem[]): readonly AppliancePlan[] {
    const now = this.#clock.monotonic();
    for (const id of this.#lackedSince.keys())
      if (wanted.every((one) => one.id !== id)) this.#lackedSince.delete(id);
    return wanted.filter((appliance) => {
      const { id } = appliance;
      const message = this.#lacks(appliance);
      const since = this.#lackedSince.get(id);
      if (message !== undefined) {
        problems.push({ appliance: id, message });
        this.#lackedSince.set(id, since ?? now);
      } else if (since !== undefined) this.#appliances.contentCame?.(id, millis(now - since));
      return message === undefined;
    });
  }

  async #startAndAdjust(
    plan: HostPlan,
    steps: HostSteps,
    attempt: Attempt,
    signal: AbortSignal,
  ): Promise<void> {
    const observed = new Map(this.#appliances.observe().map((one) => [one.id, one]));
    await Promise.all([
      ...plan.appliances
        .filter(
          ({ id, held }) => held !== true && mayStart.has(observed.get(id)?.state) && !this.#busy.has(id),
        )
        .map((appliance) =>
          attempt(`start ${appliance.id}`, appliance.id, () => this.#appliances.start(appliance.id, signal)),
        ),
      ...steps.resize.map(({ id, settings }) =>
        attempt(`resize ${id}`, id, () => this.#appliances.adapt(new Map([[id, settings]]), signal)),
      ),
      ...steps.suspend.map((id) => attempt(`suspend ${id}`, id, () => this.#appliances.suspend(id, signal))),
      ...steps.resume.map((id) => attempt(`resume ${id}`, id, () => this.#appliances.resume(id, signal))),
      ...plan.appliances
        .filter(({ id }) => this.#named.get(id) !== plan && observed.has(id) && !this.#busy.has(id))
        .map(async (appliance) => {
          const names = namesFor(plan, appliance);
          const text = namesText(names);
          await attempt(`tell ${appliance.id} its neighbours' names`, appliance.id, async () => {
            if (this.#names.get(appliance.id) !== text) {
              await this.#appliances.setNames(appliance.id, names, signal);
            }
            this.#names.set(appliance.id, text);
            this.#named.set(appliance.id, plan);
          });
        }),
    ]);
  }

  /** Machines that are here: most move nowhere, but what is left of an earlier move goes. */
  async #move(plan: HostPlan, attempt: Attempt, signal: AbortSignal): Promise<void> {
    if (this.#appliances.move === undefined) return;
    const here = new Set(this.#appliances.observe().map(({ id }) => id));
    const machines = plan.appliances.filter(
      ({ id, kind }) => kind === "vm" && here.has(id) && !this.#busy.has(id),
    );
    await Promise.all(
      machines.map((machine) =>
        attempt(`move ${machine.id}`, machine.id, async () => this.#appliances.move?.(machine, signal)),
      ),
    );
  }

  /** At one moment or not at all; the reason why not is a problem of each of them. */
  async #adapt(changes: HostSteps["adapt"], problems: HostProblem[], signal: AbortSignal): Promise<void> {
    if (changes.size === 0) return;
    try {
      await this.#appliances.adapt(changes, signal);
    } catch (cause) {
      signal.throwIfAborted();
      const ids = [...changes.keys()];
      const refused = ids.map((id) => ({
        appliance: id,
        message: `${changesCpu} ${id}: ${messageOf(cause)}`,
      }));
      if (refused.some(({ message }) => !this.#told.has(message))) {
        this.#log.warn(`Cannot ${changesCpu} ${ids.join(", ")}`, { cause });
      }
      problems.push(...refused);
    }
  }

  #destroy(id: ApplianceId, plan: HostPlan, signal: AbortSignal): void {
    const found = this.#appliances.observe().find((one) => one.id === id);
    const grace = found === undefined ? millis(0) : graceOf(plan, found);
    this.#busy.add(id);
    const work = async (): Promise<void> => {
      try {
        await this.#appliances.stop(id, grace, signal);
        await this.#appliances.destroy(id, signal);
        this.#names.delete(id);
        this.#named.delete(id);
        this.#stuck.delete(id);
      } catch (cause) {
        if (signal.aborted) return;
        if (this.#stuck.get(id) !== messageOf(cause)) this.#log.warn(`Cannot destroy ${id}`, { cause });
        this.#stuck.set(id, messageOf(cause));
        // Not again at once, whoever wakes us: what failed now would fail again.
        await this.#clock.sleep(limits.convergeRetryMs, signal).catch(() => {});
      } finally {
        this.#busy.delete(id);
        this.#onSettled();
      }
    };
    void work();
  }
}

function namesText(names: ReadonlyMap<string, string>): string {
  return [...names].map(([name, address]) => `${name}=${address}`).join(" ");
}
