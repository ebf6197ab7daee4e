import { codeOf, ConsortError, messageOf } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { formatDuration, millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { checkMapping, mappingProblem } from "#cluster/admission.ts";
import { restorable, withRestores } from "#cluster/checkpoints.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { whyNotMovable } from "#cluster/migrating.ts";
import { newMove, withMoves } from "#cluster/moves.ts";
import { keys } from "#cluster/records.ts";
import type { EnsembleRecord, HostStanding } from "#cluster/records.ts";
import {
  displacements,
  hostsToFence,
  hostsWaitedFor,
  replacedRecord,
  replacementProblem,
  wholeOf,
} from "#cluster/recovery.ts";
import type { Displacement } from "#cluster/recovery.ts";
import type { StoreWrite } from "#drivers/store/port.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Mapping, MappingProblem } from "#planner/mapping.ts";

/** An attempt that found no place: not again before `until`, unless the hosts have changed. */
type Stuck = { readonly hosts: string; readonly until: Millis; readonly why: string };

/**
 * Places anew what has lost its host, or has to leave it; see recovery.ts for what is decided. Looks several times
 * in a heartbeat who is lost.
 */
export class RecoveryReconciler {
  readonly #context: ClusterContext;
  readonly #stuck = new Map<ApplianceId, Stuck>();
  /** Hosts whose loss was told. */
  readonly #lost = new Set<HostId>();

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  /** Why appliances have found no place at their last attempt, worded to follow their name. */
  stuck(): ReadonlyMap<string, string> {
    return new Map([...this.#stuck].map(([id, { why }]) => [id, why.replace(`Cannot place ${id}: `, "")]));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { parts, pace, wakeRecovery, term } = this.#context;
    for (;;) {
      await wakeRecovery.wait(millis(pace.current().heartbeatMs / limits.looksPerHeartbeat), signal);
      if (term.supersededBy !== undefined) return;
      try {
        await this.#look(signal);
        await this.#context.pauseBetweenLooks(signal);
      } catch (cause) {
        signal.throwIfAborted();
        parts.log.error(`Cannot place anew what lost its host: ${messageOf(cause)}`, { cause });
      }
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    this.#tellOfLost();
    await this.#releaseHeld(signal);
    await this.#fenceThoseWaitedFor(signal);
    for (;;) {
      const next = this.#next();
      if (next === undefined) return;
      const { record, priority } = next;
      await this.#context.admitInTurn(() => this.#replace(record.ensemble.name, priority, signal), signal);
    }
  }

  #tellOfLost(): void {
    const { state, seen, events, wake } = this.#context;
    for (const host of state.hosts().keys()) {
      const isLost = seen.isLost(host);
      if (isLost === this.#lost.has(host)) continue;
      if (!isLost) {
        this.#lost.delete(host);
        continue;
      }
      this.#lost.add(host);
      events.append("host.lost", `host/${host}`, `${host} has been silent for longer than its lease`);
      wake.now();
    }
  }

  /** A fencing whose outcome was not told: after reading what the store has, hosts may be granted leases again. */
  async #releaseHeld(signal: AbortSignal): Promise<void> {
    const { leases, state } = this.#context;
    const held = leases.held();
    if (held.length === 0) return;
    await state.change(() => ({ writes: [], result: undefined }), signal);
    leases.release(held);
  }

  async #fenceThoseWaitedFor(signal: AbortSignal): Promise<void> {
    const { state, seen } = this.#context;
    const waitedFor = (): HostId[] =>
      [...hostsWaitedFor(state.whereabouts().unsettled(), (host) => seen.isLost(host))].filter(
        (host) => !state.standing(host).fenced,
      );
    if (waitedFor().length === 0) return;
    await this.#fence((lost) =>
      state.change(() => ({ writes: lost(waitedFor()), result: undefined }), signal),
    );
    this.#context.wake.now();
  }

  #displacements(): Displacement[] {
    const { state } = this.#context;
    const whereabouts = state.whereabouts();
    const concerned = new Set(whereabouts.unsettled());
    for (const host of this.#troubledHosts())
      for (const record of whereabouts.on(host)) concerned.add(record);
    const found = displacements([...concerned], this.#context.fates());
    const displaced = new Set(found.flatMap(({ moving }) => moving));
    for (const id of this.#stuck.keys()) if (!displaced.has(id)) this.#stuck.delete(id);
    return found;
  }

  /** Lost or draining. */
  #troubledHosts(): HostId[] {
    const { state, seen } = this.#context;
    return [...state.hosts().keys()].filter(
      (host) => seen.isLost(host) || state.standing(host).scheduling === "draining",
    );
  }

  /** Asks again what is displaced: other changes may have come first. */
  async #replace(ensemble: string, priority: number, signal: AbortSignal): Promise<void> {
    const displacement = this.#find(ensemble, priority);
    if (displacement === undefined) return;
    const hosts = this.#hostsNow();
    const why = await this.#attempt(displacement, signal).catch(unlessChanged);
    if (why === undefined) return;
    // An ensemble is one thing to its users: what runs of it makes room for the rest, if all of it can run then.
    if ((await this.#attempt(wholeOf(displacement), signal, true).catch(unlessChanged)) === undefined) return;
    const [only, ...others] = displacement.moving;
    if (only !== undefined && others.length === 0) return this.#noteStuck(only, { hosts, why });
    // Together they have no place; as many as possible are better than none, and each of the others has its own reason.
    for (const id of displacement.moving) {
      const now = this.#find(ensemble, priority);
      if (now?.moving.includes(id) !== true) continue;
      const its = await this.#attempt({ ...now, moving: [id] }, signal).catch(unlessChanged);
      if (its !== undefined) this.#noteStuck(id, { hosts, why: its });
    }
  }

  #find(ensemble: string, priority: number): Displacement | undefined {
    return this.#displacements().find(
      (one) => one.record.ensemble.name === ensemble && one.priority === priority,
    );
  }

  /** Resolves with why they have no place; undefined: they were placed. */
  async #attempt(
    displacement: Displacement,
    signal: AbortSignal,
    makesRoom = false,
  ): Promise<string | undefined> {
    const { state } = this.#context;
    const { record, moving } = displacement;
    const asked = mappingProblem(record.ensemble, this.#context.facts());
    const problem = replacementProblem(asked, displacement, makesRoom);
    const mapping = await this.#map(problem, signal);
    if (typeof mapping === "string") return mapping;
    const { parts } = this.#context;
    const moved = withMoves(record, replacedRecord(displacement, mapping), this.#movable(moving), () =>
      newMove(parts),
    );
    const isThere = (host: HostId): boolean => this.#context.seen.isThere(host);
    const after = withRestores(record, moved, (id, refused) =>
      restorable(state.checkpoints().get(id), isThere, undefined, refused),
    );
    await this.#fence(async (lost) => {
      const draft = (): { record: EnsembleRecord; writes: readonly StoreWrite[] } => {
        if (state.ensemble(record.ensemble.name) !== record) throw changed(record);
        const { isLost, isDraining } = this.#context.fates();
        const stays = moving.some((id) => {
          const host = record.placements[id];
          return host !== undefined && !isLost(host) && !isDraining(host);
        });
        if (stays) throw changed(record);
        const fenced = hostsToFence(record, after, isLost).filter((host) => !state.standing(host).fenced);
        return { record: after, writes: lost(fenced) };
      };
      await this.#commit(record, draft, signal);
    });
    for (const { id, spec } of appliancesOf(record.ensemble)) {
      const [from, to] = [record.placements[id], after.placements[id]];
      if (to !== undefined) this.#stuck.delete(id);
      if (to === undefined || from === to) continue;
      const why = from === undefined ? "it had lost its host" : reasonToLeave(from, state.standing(from));
      const how = spec.kind === "vm" ? startsFrom(after, id, parts.clock.now()) : "";
      this.#context.events.append("appliance.moved", id, `${from ?? "nowhere"} → ${to}: ${why}${how}`);
    }
    this.#context.wake.now();
    return undefined;
  }

  /** Those that go on running while they move. */
  #movable(ids: readonly ApplianceId[]): readonly ApplianceId[] {
    return ids.filter((id) => whyNotMovable(this.#context, id) === undefined);
  }

  /** The mapping, or why there is none. One that fails must not hold up the others. */
  async #map(problem: MappingProblem, signal: AbortSignal): Promise<Mapping | string> {
    try {
      const mapping = await this.#context.parts.solve(problem, signal);
      const [violation] = mapping.violations;
      if (violation !== undefined) return violation.message;
      checkMapping(problem, mapping);
      return mapping;
    } catch (cause) {
      signal.throwIfAborted();
      this.#context.parts.log.error(`Cannot map: ${messageOf(cause)}`, { cause });
      return messageOf(cause);
    }
  }

  /** With an operation that tells how it goes, where none tells already. */
  async #commit(
    record: EnsembleRecord,
    draft: () => { record: EnsembleRecord; writes: readonly StoreWrite[] },
    signal: AbortSignal,
  ): Promise<void> {
    const { state, operations } = this.#context;
    const isDrain = Object.values<HostId>(record.placements).some(
      (host) => operations.drainOf(host) !== undefined,
    );
    if (!isDrain && !operations.isAwaited(record)) {
      await operations.accept("recover", draft, signal);
      return;
    }
    await state.change(() => {
      const { record: after, writes } = draft();
      return {
        writes: [{ put: keys.ensemble(after.ensemble.name), value: after }, ...writes],
        result: undefined,
      };
    }, signal);
  }

  /** `work` commits; `lost` gives the writes that fence hosts, which are granted nothing from that moment on. */
  async #fence(work: (lost: (hosts: readonly HostId[]) => StoreWrite[]) => Promise<void>): Promise<void> {
    const { leases, state, events } = this.#context;
    let held: readonly HostId[] = [];
    await work((hosts) => {
      held = hosts;
      leases.hold(hosts);
      return hosts.map((host) => ({
        put: keys.standing(host),
        value: { ...state.standing(host), fenced: true },
      }));
    });
    leases.release(held);
    for (const host of held) {
      events.append(
        "host.fenced",
        `host/${host}`,
        `${host} is lost: what it ran under its lease may run elsewhere`,
      );
    }
  }

  #noteStuck(id: ApplianceId, { hosts, why }: Omit<Stuck, "until">): void {
    const until = millis(this.#context.parts.clock.monotonic() + limits.recoveryRetryMs);
    if (this.#stuck.get(id)?.why !== why) this.#context.events.append("appliance.stranded", id, why);
    this.#stuck.set(id, { hosts, until, why });
  }

  /** The first that is not stuck: an attempt may find a place. */
  #next(): Displacement | undefined {
    const now = this.#context.parts.clock.monotonic();
    let hosts: string | undefined;
    const isStuck = (id: ApplianceId): boolean => {
      const stuck = this.#stuck.get(id);
      if (stuck === undefined || now >= stuck.until) return false;
      hosts ??= this.#hostsNow();
      return stuck.hosts === hosts;
    };
    return this.#displacements().find(({ moving }) => !moving.every(isStuck));
  }

  /** Which hosts take appliances, as text. */
  #hostsNow(): string {
    const { state, seen } = this.#context;
    return [...state.hosts().keys()]
      .filter((host) => seen.isThere(host))
      .map((host) => `${host} ${state.standing(host).scheduling} ${state.standing(host).fenced}`)
      .join("\n");
  }
}

/** What of a virtual machine is there again on its new host, and what is not. */
function startsFrom(after: EnsembleRecord, id: ApplianceId, nowMs: number): string {
  if (after.moves?.[id] !== undefined) return "";
  const [checkpoint] = after.restores?.[id]?.checkpoints ?? [];
  if (checkpoint === undefined) return "; it begins anew, as it has no checkpoint";
  const age = formatDuration(millis(Math.max(0, Math.round((nowMs - checkpoint.takenAtMs) / 1000) * 1000)));
  return `; it goes on from checkpoint ${checkpoint.id}, taken ${age} before`;
}

function reasonToLeave(host: HostId, { fenced, scheduling }: HostStanding): string {
  if (fenced) return `${host} is lost`;
  return scheduling === "draining" ? `${host} is drained` : `it makes room on ${host}`;
}

/** What changed in between is looked at again. */
function unlessChanged(error: unknown): undefined {
  if (codeOf(error) === "conflict") return undefined;
  throw error;
}

const changed = ({ ensemble }: EnsembleRecord): ConsortError =>
  new ConsortError("conflict", `Cannot place ${ensemble.name} anew: it has changed in between`);
