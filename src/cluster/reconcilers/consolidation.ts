import { messageOf } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { promisedCloud } from "#cluster/admission.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import { whyNotMovable } from "#cluster/migrating.ts";
import { newMove, withMoves } from "#cluster/moves.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { isSettled } from "#cluster/recovery.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Consolidation } from "#planner/consolidate.ts";

/**
 * Empties hosts that others have room for, one at a time, while nothing else is under way: the room of a whole host is
 * worth more than that of its parts.
 */
export class ConsolidationReconciler {
  readonly #context: ClusterContext;
  /** The version for which there was nothing to propose; then looked at again, as some could not be moved just then. */
  #settled = { version: -1, until: -Infinity };

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { parts, term } = this.#context;
    while (term.supersededBy === undefined) {
      await parts.clock.sleep(limits.heartbeatMs, signal);
      try {
        if (this.#isDue()) await this.#context.admitInTurn(() => this.#consolidate(signal), signal);
      } catch (cause) {
        signal.throwIfAborted();
        parts.log.error(`Cannot empty a host: ${messageOf(cause)}`, { cause });
      }
    }
  }

  #isDue(): boolean {
    const { state, seen, dispatcher, operations } = this.#context;
    const { version, until } = this.#settled;
    const isKnown = version === state.version() && this.#context.parts.clock.monotonic() < until;
    if (isKnown || !this.#context.isPlanned()) return false;
    const records = state.ensembles();
    const isQuiet = records.every(
      (record) => !operations.isAwaited(record) && Object.keys(record.leaving).length === 0,
    );
    const used = new Set(records.flatMap(({ placements }) => Object.values<HostId>(placements)));
    return isQuiet && [...used].every((host) => dispatcher.matches(seen.freshReport(host)));
  }

  async #consolidate(signal: AbortSignal): Promise<void> {
    const { state, parts, events, wake } = this.#context;
    const version = state.version();
    const records = state.ensembles();
    const { settled, kept } = this.#immovable(records);
    const immovable = new Set([...settled, ...kept]);
    const cloud = promisedCloud(this.#context.facts());
    const proposal = await parts.consolidate?.({ ...cloud, immovable }, signal);
    if (proposal === undefined) {
      const until = kept.length === 0 ? Infinity : parts.clock.monotonic() + limits.recoveryRetryMs;
      this.#settled = { version, until };
      return;
    }
    const made = await state.change(() => {
      const keptNow = new Set(this.#immovable(records).kept);
      const same =
        this.#isDue() &&
        records.every((record) => state.ensemble(record.ensemble.name) === record) &&
        proposal.moves.every(({ appliance }) => !keptNow.has(appliance));
      return { writes: same ? this.#writesOf(proposal, records) : [], result: same };
    }, signal);
    if (!made) return;
    for (const { appliance, from, to } of proposal.moves) {
      events.append("appliance.moved", appliance, `${from} → ${to}: ${proposal.host} is emptied`);
    }
    wake.now();
  }

  /** Settled: they stay where they are. Kept: machines that would have to be stopped now, which room is not worth. */
  #immovable(records: readonly EnsembleRecord[]): {
    readonly settled: readonly ApplianceId[];
    readonly kept: readonly ApplianceId[];
  } {
    const fates = this.#context.fates();
    const settled: ApplianceId[] = [];
    const kept: ApplianceId[] = [];
    for (const record of records) {
      for (const { id, spec } of appliancesOf(record.ensemble)) {
        if (isSettled(record, id, fates)) settled.push(id);
        else if (spec.kind === "vm" && whyNotMovable(this.#context, id) !== undefined) kept.push(id);
      }
    }
    return { settled, kept };
  }

  #writesOf({ placed, moves }: Consolidation, records: readonly EnsembleRecord[]): StoreWrite[] {
    const running = moves
      .map(({ appliance }) => appliance)
      .filter((id) => whyNotMovable(this.#context, id) === undefined);
    return placed.flatMap(({ ensemble, placements, paths = [] }) => {
      const before = records.find((record) => record.ensemble.name === ensemble.name);
      if (before === undefined) return [];
      const moved = Object.fromEntries(placements) as EnsembleRecord["placements"];
      const leaving = leavingAfter(before, moved);
      const after = { ...before, placements: moved, paths, leaving };
      const stopped: EnsembleRecord = { ...after, unleased: unleasedAfter(before, after) };
      const value = withMoves(before, stopped, running, () => newMove(this.#context.parts));
      return [{ put: keys.ensemble(ensemble.name), value }];
    });
  }
}
