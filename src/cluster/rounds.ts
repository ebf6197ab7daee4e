import { ConsortError, messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { together } from "#base/together.ts";
import { millis } from "#base/units.ts";
import { progressOf } from "#cluster/charge.ts";
import type { Charge } from "#cluster/charge.ts";
import type { ClusterContext, ClusterManagerParts } from "#cluster/context.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import { withLastWords } from "#cluster/last-words.ts";
import { stepDrains } from "#cluster/reconcilers/drains.ts";
import { stepLeaving } from "#cluster/reconcilers/leaving.ts";
import { stepMoves } from "#cluster/reconcilers/moves.ts";
import { noteEpoch } from "#cluster/term.ts";

/** What a cluster manager that is in charge does again and again, whoever asks it for something meanwhile. */
export class Rounds {
  readonly #parts: ClusterManagerParts;
  readonly #inCharge: () => Charge;

  /** `inCharge` throws `unavailable` once another cluster manager has taken over. */
  constructor(parts: ClusterManagerParts, inCharge: () => Charge) {
    this.#parts = parts;
    this.#inCharge = inCharge;
  }

  /** Until the signal aborts. Throws `unavailable` when hosts obey a later cluster manager. */
  async run(signal: AbortSignal): Promise<void> {
    const { context, recovery, consolidation, strategies, jobs } = this.#inCharge();
    const consolidates = this.#parts.policy?.consolidate === true;
    await together(
      [
        (stop) => this.#reconcile(stop),
        (stop) => this.#confirm(stop),
        (stop) => this.#listen(stop),
        (stop) => recovery.run(stop),
        (stop) => strategies.run(stop),
        (stop) => jobs.run(stop),
        ...(consolidates ? [(stop: AbortSignal) => consolidation.run(stop)] : []),
        (stop) => context.events.run(stop),
      ],
      signal,
    );
  }

  async #reconcile(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const { context } = this.#inCharge();
    for (;;) {
      await this.#endIfSuperseded(context, signal);
      try {
        await this.#pass(signal);
        await context.pauseBetweenLooks(signal);
        await context.wake.wait(limits.heartbeatMs, signal);
      } catch (cause) {
        signal.throwIfAborted();
        log.error(`A reconcile pass failed: ${messageOf(cause)}`, { cause });
        await clock.sleep(limits.heartbeatMs, signal);
      }
    }
  }

  async #endIfSuperseded({ term }: ClusterContext, signal: AbortSignal): Promise<void> {
    const newer = term.supersededBy;
    if (newer === undefined) return;
    await noteEpoch(this.#parts.store, newer, signal);
    throw new ConsortError("unavailable", `Cannot go on: hosts obey epoch ${newer}, another manager's`);
  }

  /** Notices when this process has stood still: then it has not listened to hosts, however silent they seem. */
  async #listen(signal: AbortSignal): Promise<void> {
    const { seen, pace } = this.#inCharge().context;
    for (;;) {
      const { heartbeatMs } = pace.current();
      seen.listening(heartbeatMs);
      await this.#parts.clock.sleep(millis(heartbeatMs / limits.looksPerHeartbeat), signal);
    }
  }

  /** Knows again and again that nobody has taken over; without that, hosts are granted no lease. */
  async #confirm(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const { term, pace } = this.#inCharge().context;
    while (term.supersededBy === undefined) {
      try {
        await term.confirm(signal);
      } catch (cause) {
        signal.throwIfAborted();
        log.warn(`Cannot confirm the epoch: ${messageOf(cause)}`);
      }
      await clock.sleep(millis(pace.current().heartbeatMs / limits.looksPerHeartbeat), signal);
    }
  }

  async #pass(signal: AbortSignal): Promise<void> {
    const { context, hosts, tunnels, recovery, links, jobs, images, checkpoints, stores } = this.#inCharge();
    const { dispatcher, state, operations } = context;
    await state.settle(signal);
    await hosts.step(signal);
    await tunnels.step(signal);
    await jobs.step(signal);
    await images.step(signal);
    await checkpoints.step(signal);
    await stores.step(signal);
    const version = state.version();
    if (context.planned !== version) {
      dispatcher.update(hostPlanBodies(context.desired()), signal);
      context.planned = version;
    }
    dispatcher.retry(signal);
    await stepMoves(context, signal);
    await links.step(signal);
    await stepLeaving(context, signal);
    await stepDrains(context, recovery.stuck(), signal);
    for (const record of operations.awaited()) {
      const progress = await withLastWords(this.#parts, record, progressOf(this.#inCharge(), record), signal);
      await operations.observe(record, progress, signal);
    }
    if (!context.isPlanned()) context.wake.now();
  }
}
