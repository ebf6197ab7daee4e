import { messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { checkMapping, mappingProblem } from "#cluster/admission.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import { whyNotMovable } from "#cluster/migrating.ts";
import { newMove, withMoves } from "#cluster/moves.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { isOfLinks, routingProblem, unroutedIn } from "#cluster/rerouting.ts";
import type { Mapping } from "#planner/mapping.ts";

/** Looked at again when it has changed, or then: others may have left room. */
type Tried = { readonly record: EnsembleRecord; readonly until: Millis };

/**
 * Finds ways for links that have none, as one of their ends did not come to where it was to go: where all of them are,
 * or else with those of them moved that go on running meanwhile.
 */
export class LinkReconciler {
  readonly #context: ClusterContext;
  readonly #tried = new Map<string, Tried>();

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  async step(signal: AbortSignal): Promise<void> {
    const { state, seen, parts } = this.#context;
    for (const record of state.whereabouts().unsettled()) {
      const { name } = record.ensemble;
      const ends = record.state === "present" ? unroutedIn(record) : new Set<ApplianceId>();
      const last = this.#tried.get(name);
      if (ends.size === 0) {
        this.#tried.delete(name);
        continue;
      }
      if (last?.record === record && parts.clock.monotonic() < last.until) continue;
      // Who has lost its host is placed anew, and its links with it.
      if ([...ends].some((id) => record.placements[id] !== undefined && seen.isLost(record.placements[id])))
        continue;
      await this.#context.admitInTurn(() => this.#route(name, last === undefined, signal), signal);
    }
  }

  async #route(name: string, isFirst: boolean, signal: AbortSignal): Promise<void> {
    const { state, events, parts, wake } = this.#context;
    const record = state.ensemble(name);
    const ends = record === undefined ? new Set<ApplianceId>() : unroutedIn(record);
    if (record === undefined || ends.size === 0) return;
    const until = millis(parts.clock.monotonic() + limits.recoveryRetryMs);
    this.#tried.set(name, { record, until });
    const after = await this.#routed(record, ends, signal);
    if (typeof after === "string") {
      if (isFirst) for (const id of ends) events.append("link.stranded", id, after);
      return;
    }
    await state.change(() => {
      const isSame = state.ensemble(name) === record;
      return { writes: isSame ? [{ put: keys.ensemble(name), value: after }] : [], result: undefined };
    }, signal);
    wake.now();
  }

  /** The record with its links routed, or why there is no way. */
  async #routed(
    record: EnsembleRecord,
    ends: ReadonlySet<ApplianceId>,
    signal: AbortSignal,
  ): Promise<EnsembleRecord | string> {
    const { parts } = this.#context;
    const facts = this.#context.facts();
    const still = routingProblem(record, facts);
    const mapping = await parts.solve(still, signal);
    const broken = mapping.violations.find(isOfLinks);
    if (broken === undefined) return { ...record, paths: mapping.paths };
    const movable = [...ends].filter((id) => whyNotMovable(this.#context, id) === undefined);
    if (movable.length === 0) return broken.message;
    const { previous, absent } = still;
    const pinned = new Set([...(still.pinned ?? [])].filter((id) => !movable.includes(id)));
    const problem = { ...mappingProblem(record.ensemble, facts), previous, absent, pinned } as typeof still;
    const moved = await parts.solve(problem, signal);
    const [violation] = moved.violations;
    if (violation !== undefined) return violation.message;
    try {
      checkMapping(problem, moved);
    } catch (cause) {
      return messageOf(cause);
    }
    return this.#movedRecord(record, moved, movable);
  }

  #movedRecord(record: EnsembleRecord, mapping: Mapping, movable: readonly ApplianceId[]): EnsembleRecord {
    const placements = Object.fromEntries(mapping.placements) as EnsembleRecord["placements"];
    const leaving = leavingAfter(record, placements);
    const after = { ...record, placements, paths: mapping.paths, leaving };
    const placed = { ...after, unleased: unleasedAfter(record, after) };
    return withMoves(record, placed, movable, () => newMove(this.#context.parts));
  }
}
