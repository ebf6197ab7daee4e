import { codeOf, ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { InTurnByKey } from "#base/in-turn.ts";
import { limits } from "#base/limits.ts";
import type { Clock, Log, Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import type { Checkpointer, StoreSweeper, TakeOrder } from "#drivers/checkpoint/port.ts";
import { CheckpointGroup } from "#host/checkpoint-group.ts";
import { HostStores } from "#host/checkpoint-stores.ts";
import type { CheckpointPolicy } from "#model/vm.ts";
import type { AppliancePlan, CheckpointPlan, HostPlan, StorePlan } from "#protocol/host-plan.ts";
import type { CheckpointReport, CheckpointRequestReport, HostReport } from "#protocol/host-report.ts";

export type HostCheckpointsParts = {
  readonly host: HostId;
  readonly checkpointer: Checkpointer;
  readonly appliances: Pick<ApplianceDriver, "observe">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Absent: nothing is kept in stores outside the cloud. */
  readonly sweeper?: StoreSweeper;
  /** There is something to report. */
  readonly onChange: () => void;
};

/** What is asked for without a policy is kept like this. */
const unasked: Omit<CheckpointPolicy, "everyMs"> = { copies: 1, keep: 2 };

type Series = { readonly everyMs: number; readonly stop: AbortController };
type Request = {
  readonly group: CheckpointGroup;
  readonly reports: Map<ApplianceId, CheckpointRequestReport>;
};

/**
 * When checkpoints of this host's machines are taken: again and again by policy, and on request.
 *
 * A request is desired state like all else: while it is in the plan, each of its appliances is to have a checkpoint of
 * its name; one that is on record is not taken again, whoever restarted in between.
 */
export class HostCheckpoints {
  readonly #parts: HostCheckpointsParts;
  readonly #series = new Map<ApplianceId, Series>();
  readonly #requests = new Map<string, Request>();
  /** One at a time for each appliance. */
  readonly #turns = new InTurnByKey<ApplianceId>();
  #places: number = limits.checkpointsAtOnce;
  readonly #waiting: (() => void)[] = [];
  #plans: ReadonlyMap<ApplianceId, AppliancePlan> = new Map();
  readonly #stores: HostStores | undefined;
  #storePlans: readonly StorePlan[] = [];

  constructor(parts: HostCheckpointsParts) {
    this.#parts = parts;
    const { sweeper, checkpointer } = parts;
    if (sweeper === undefined) return;
    const observe = (): readonly CheckpointReport[] => checkpointer.observe();
    this.#stores = new HostStores({ ...parts, sweeper, turns: this.#turns, observe });
  }

  recover(signal: AbortSignal): Promise<void> {
    return this.#parts.checkpointer.recover(signal);
  }

  look(signal: AbortSignal): void {
    this.#parts.checkpointer.look(signal);
  }

  /** From now on until the signal aborts. */
  follow(plan: HostPlan, signal: AbortSignal): void {
    const { checkpointer, host } = this.#parts;
    checkpointer.usePeers(host, plan.blobs?.peers ?? []);
    checkpointer.look(signal);
    this.#plans = new Map(plan.appliances.map((one) => [one.id, one]));
    this.#storePlans = plan.stores ?? [];
    this.#stores?.follow(this.#storePlans, signal);
    this.#followSeries(signal);
    this.#followRequests(plan.checkpoints ?? [], signal);
    this.#release(signal);
    this.#forgetGone(signal);
  }

  /** For the host's report. */
  report(): Pick<HostReport, "checkpoints" | "checkpointRequests" | "stores"> {
    const stores = this.#stores?.report() ?? [];
    const checkpoints = this.#parts.checkpointer.observe();
    const checkpointRequests = [...this.#requests.values()].flatMap(({ reports, group }) =>
      [...reports.values()].map((one) =>
        one.state === "taking" && group.isHeld(one.appliance) ? { ...one, state: "held" as const } : one,
      ),
    );
    return {
      ...(checkpoints.length === 0 ? {} : { checkpoints }),
      ...(checkpointRequests.length === 0 ? {} : { checkpointRequests }),
      ...(stores.length === 0 ? {} : { stores }),
    };
  }

  #followSeries(signal: AbortSignal): void {
    for (const [id, { everyMs, stop }] of this.#series) {
      if (this.#plans.get(id)?.vm?.checkpoint?.everyMs === everyMs) continue;
      stop.abort();
      this.#series.delete(id);
    }
    for (const [id, { vm }] of this.#plans) {
      const everyMs = vm?.checkpoint?.everyMs;
      if (everyMs === undefined || this.#series.has(id)) continue;
      const stop = new AbortController();
      this.#series.set(id, { everyMs, stop });
      void this.#repeat(id, everyMs, AbortSignal.any([signal, stop.signal]));
    }
  }

  /** Its period counts from the begin of one to the begin of the next; none is begun while the one before goes on. */
  async #repeat(id: ApplianceId, everyMs: number, signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#parts;
    let said = "";
    let waitMs = everyMs;
    try {
      for (;;) {
        await clock.sleep(millis(waitMs), signal);
        const began = clock.monotonic();
        try {
          if (this.#runs(id)) {
            const name = `p-${clock.now().toString(36)}-${random.hex(3)}`;
            await this.#inPlace(() => this.#take(id, { id: name }, signal));
            said = "";
          }
          waitMs = Math.max(0, everyMs - (clock.monotonic() - began));
        } catch (cause) {
          signal.throwIfAborted();
          waitMs = Math.max(everyMs, limits.checkpointRetryMs);
          if (said !== messageOf(cause)) log.warn(messageOf(cause), { cause });
          said = messageOf(cause);
        }
      }
    } catch (cause) {
      if (!signal.aborted)
        log.error(`No more checkpoints of ${id} are taken: ${messageOf(cause)}`, { cause });
    }
  }

  async #inPlace(work: () => Promise<void>): Promise<void> {
    if (this.#places > 0) this.#places -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#places += 1;
      else next();
    }
  }

  #followRequests(plans: readonly CheckpointPlan[], signal: AbortSignal): void {
    const wanted = new Set(plans.map(({ id }) => id));
    for (const [id, { group }] of this.#requests) {
      if (wanted.has(id)) continue;
      group.giveUp();
      this.#requests.delete(id);
    }
    for (const plan of plans) {
      const known = this.#requests.get(plan.id);
      if (known === undefined) this.#begin(plan, signal);
      else known.group.follow(plan);
    }
  }

  #begin(plan: CheckpointPlan, signal: AbortSignal): void {
    const group = new CheckpointGroup(plan, this.#parts.clock, limits.checkpointHoldMsMax);
    const request: Request = { group, reports: new Map() };
    this.#requests.set(plan.id, request);
    for (const appliance of plan.appliances) {
      const tell = (state: CheckpointRequestReport["state"], message?: string): void => {
        const more = message === undefined ? {} : { message };
        request.reports.set(appliance, { id: plan.id, appliance, state, ...more });
        this.#parts.onChange();
      };
      if (this.#isTaken(appliance, plan.id)) {
        tell("taken");
        continue;
      }
      tell("taking");
      const held = async (stop: AbortSignal): Promise<string | undefined> => {
        const over = group.hold(appliance, stop);
        this.#parts.onChange();
        return over;
      };
      const order = { id: plan.id, ...(plan.group === undefined ? {} : { whilePaused: held }) };
      const taken =
        plan.stays === true
          ? this.#takeToStay(appliance, request, plan.id, signal)
          : this.#take(appliance, order, signal);
      taken.then(
        () => tell("taken"),
        (cause: unknown) => {
          group.giveUp();
          if (!signal.aborted) tell("failed", messageOf(cause));
        },
      );
    }
  }

  /** What does not run at this moment is waited for, as long as this is asked for. */
  async #takeToStay(
    appliance: ApplianceId,
    request: Request,
    id: string,
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      try {
        await this.#take(appliance, { id, stays: true }, signal);
        return;
      } catch (cause) {
        signal.throwIfAborted();
        if (codeOf(cause) !== "conflict") throw cause;
        await this.#parts.clock.sleep(limits.convergeRetryMs, signal);
        if (this.#requests.get(id) !== request) throw cause;
      } finally {
        this.#release(signal);
      }
    }
  }

  /** Those that stand still at a checkpoint though nobody asks for that any more. What is to leave is not let go. */
  #release(signal: AbortSignal): void {
    for (const [appliance, id] of this.#parts.checkpointer.standing()) {
      if (this.#plans.has(appliance) && !this.#requests.has(id)) {
        this.#parts.checkpointer.release(appliance, signal);
      }
    }
  }

  #take(
    appliance: ApplianceId,
    order: Pick<TakeOrder, "id" | "whilePaused" | "stays">,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#turns.run(appliance, () => this.#takeNow(appliance, order, signal));
  }

  async #takeNow(
    appliance: ApplianceId,
    order: Pick<TakeOrder, "id" | "whilePaused" | "stays">,
    signal: AbortSignal,
  ): Promise<void> {
    const plan = this.#plans.get(appliance);
    const policy = this.#inItsPlace(appliance, plan?.vm?.checkpoint ?? unasked);
    const generation = plan?.generation ?? "";
    await this.#parts.checkpointer.take({ appliance, generation, policy, ...order }, signal);
    this.#parts.onChange();
  }

  /** In the place of the store that is on record for this host; without one nothing may be written there. */
  #inItsPlace(appliance: ApplianceId, policy: TakeOrder["policy"]): TakeOrder["policy"] {
    const { store } = policy;
    if (store === undefined) return policy;
    const plan = this.#storePlans.find(
      (one) => one.appliance === appliance && one.store === store && one.keep !== undefined,
    );
    if (plan !== undefined) return { ...policy, store: plan.place };
    throw new ConsortError(
      "unavailable",
      `Cannot take a checkpoint of ${appliance}: its place in ${store} is not known yet`,
    );
  }

  #isTaken(appliance: ApplianceId, id: string): boolean {
    return this.#parts.checkpointer
      .observe()
      .some(({ checkpoint }) => checkpoint.id === id && checkpoint.appliance === appliance);
  }

  #runs(id: ApplianceId): boolean {
    return this.#parts.appliances.observe().some((one) => one.id === id && one.state === "running");
  }

  /** What is neither wanted nor here any more. */
  #forgetGone(signal: AbortSignal): void {
    const { checkpointer, appliances, log } = this.#parts;
    const known = checkpointer.onRecord();
    if (known.length === 0) return;
    const here = new Set(appliances.observe().map(({ id }) => id));
    for (const id of known) {
      if (here.has(id) || this.#plans.has(id)) continue;
      checkpointer.forget(id, signal).catch((cause: unknown) => {
        if (!signal.aborted) log.warn(`Cannot forget the checkpoints of ${id}`, { cause });
      });
    }
  }
}
