import { messageOf } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
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
  /** The version for which there was nothing to propose. */
  #settled = -1;

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
    if (this.#settled === state.version() || !this.#context.isPlanned()) return false;
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
    const fates = this.#context.fates();
    const immovable = new Set(
      records.flatMap((record) =>
        appliancesOf(record.ensemble).flatMap(({ id }) => (isSettled(record, id, fates) ? [id] : [])),
      ),
    );
    const cloud = promisedCloud(this.#context.facts());
    const proposal = await parts.consolidate?.({ ...cloud, immovable }, signal);
    if (proposal === undefined) {
      this.#settled = version;
      return;
    }
    const made = await state.change(() => {
      const same =
        this.#isDue() && records.every((record) => state.ensemble(record.ensemble.name) === record);
      return { writes: same ? this.#writesOf(proposal, records) : [], result: same };
    }, signal);
    if (!made) return;
    for (const { appliance, from, to } of proposal.moves) {
      events.append("appliance.moved", appliance, `${from} → ${to}: ${proposal.host} is emptied`);
    }
    wake.now();
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
