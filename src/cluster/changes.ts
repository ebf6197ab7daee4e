import { ConsortError } from "#base/errors.ts";
import { applianceId, hostId } from "#base/ids.ts";
import type { ApplianceId, HostId, OperationId } from "#base/ids.ts";
import { checkFits } from "#cluster/adjust-admission.ts";
import { held, renewed, resized } from "#cluster/adjusting.ts";
import type { Adjusted, ResizeRequest } from "#cluster/adjusting.ts";
import { checkHolds, checkMapping, mappingProblem, planResult } from "#cluster/admission.ts";
import { allocate } from "#cluster/allocation.ts";
import { restoreOf, withRestore } from "#cluster/checkpoint-requests.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { identitiesOf } from "#cluster/identities.ts";
import { leavingAfter, unleasedAfter } from "#cluster/leaving.ts";
import { migrationProblem, namedToMove } from "#cluster/migrating.ts";
import type { MigrateRequest } from "#cluster/migrating.ts";
import { checkNotParked, parkedIds, withoutAttempts } from "#cluster/parking.ts";
import { checkNotMoving, newMove, withMoves } from "#cluster/moves.ts";
import { imagesNamed } from "#cluster/image-names.ts";
import type { EnsembleChange } from "#cluster/operation-ends.ts";
import type { Operations } from "#cluster/operations.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { namedOnDisk, parking, unparked } from "#cluster/unparking.ts";
import type { ResumeRequest } from "#cluster/unparking.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Mapping } from "#planner/mapping.ts";
import type { Operation } from "#protocol/http/operation.ts";

/** What users ask to be changed: mapped, then admitted one after the other, each durable before it is acknowledged. */
export class Changes {
  readonly #context: ClusterContext;
  readonly #life: AbortSignal;
  /** By ensemble: the end of the newest change that was asked for. */
  readonly #asked = new Map<string, Promise<void>>();

  /** `life` ends with the manager: a change that is being written does not end with who asked for it. */
  constructor(context: ClusterContext, life: AbortSignal) {
    this.#context = context;
    this.#life = life;
  }

  up(ensemble: Ensemble, signal: AbortSignal): Promise<Operation> {
    return this.#inOrder(ensemble.name, () => this.#up(ensemble, signal));
  }

  async #up(declared: Ensemble, signal: AbortSignal): Promise<Operation> {
    const { state } = this.#context;
    const adjusted = (): Ensemble => renewed(state.ensemble(declared.name)?.ensemble, declared);
    // Before its turn: a long search holds up nobody, and mostly still holds when the turn has come.
    let version = state.version();
    let ensemble = adjusted();
    let mapping = await this.#mapped(ensemble, signal);
    return this.admitInTurn(async () => {
      for (;;) {
        if (state.version() !== version) {
          version = state.version();
          ensemble = adjusted();
          mapping = await this.#mapped(ensemble, signal);
        }
        const [loads, found, wanted] = [state.loads(), mapping, ensemble];
        let isStale = false;
        try {
          return await this.#accept("up", () => {
            // The store had not kept, or had kept more than, what was mapped on.
            isStale = state.loads() !== loads;
            if (isStale) throw new ConsortError("conflict", "Cannot accept: all was read anew meanwhile");
            return this.#placed(wanted, found);
          });
        } catch (cause) {
          if (!isStale) throw cause;
        }
      }
    });
  }

  /** Where it goes. Throws `unsatisfiable` with what is binding, and `conflict` while it is being removed. */
  async #mapped(ensemble: Ensemble, signal: AbortSignal): Promise<Mapping> {
    const { state, facts } = this.#context;
    const before = state.ensemble(ensemble.name);
    if (before?.state === "removing") {
      throw new ConsortError(
        "conflict",
        `Cannot bring up ${ensemble.name}: it is being removed, wait until it is gone`,
      );
    }
    if (before !== undefined) checkNotParked(before, parkedIds(before), `bring up ${ensemble.name}`);
    imagesNamed(ensemble, facts().image);
    const problem = mappingProblem(ensemble, facts());
    const mapping = await this.#context.parts.solve(problem, signal);
    if (mapping.violations.length > 0) {
      const first = mapping.violations[0];
      const more = mapping.violations.length > 1 ? ` (and ${mapping.violations.length - 1} more)` : "";
      throw new ConsortError("unsatisfiable", `Cannot bring up ${ensemble.name}: ${first?.message}${more}`, {
        details: { refusals: planResult({ ensemble, before, mapping, image: facts().image }).refusals },
      });
    }
    checkMapping(problem, mapping);
    if (before !== undefined) {
      checkNotMoving(before, Object.keys(before.moves ?? {}) as ApplianceId[], `bring up ${ensemble.name}`);
    }
    return mapping;
  }

  #placed(ensemble: Ensemble, mapping: Mapping): ReturnType<Parameters<Operations["accept"]>[1]> {
    const before = this.#context.state.ensemble(ensemble.name);
    const placements = Object.fromEntries(mapping.placements) as EnsembleRecord["placements"];
    const images = imagesNamed(ensemble, this.#context.facts().image);
    const placed = { ensemble, placements, leaving: leavingAfter(before, placements) };
    return {
      record: {
        ...placed,
        state: "present",
        paths: mapping.paths,
        ...allocate(ensemble, before, this.#holders(ensemble.name)),
        ...(Object.keys(images).length === 0 ? {} : { images }),
        ...identitiesOf(ensemble, before, this.#context.parts.random),
        ...(before?.restores === undefined ? {} : { restores: before.restores }),
        unleased: unleasedAfter(before, placed),
        revision: (before?.revision ?? 0) + 1,
      },
      undo: before,
    };
  }

  /** Whoever else holds network identifiers and subnets, or would again if its `up` were cancelled. */
  #holders(name: string): EnsembleRecord[] {
    const { state, operations } = this.#context;
    const all = [...state.ensembles(), ...operations.undoable()];
    return all.filter((record) => record.ensemble.name !== name);
  }

  down(name: string): Promise<Operation> {
    return this.#inOrder(name, () => this.#down(name));
  }

  #down(name: string): Promise<Operation> {
    return this.admitInTurn(async ({ state }) => {
      const removing = knownEnsemble(this.#context, name);
      const running = state.operation(removing.operation)?.operation;
      if (removing.state === "removing" && running?.state === "running") return running;
      return this.#accept("down", () => {
        const before = knownEnsemble(this.#context, name);
        return { record: { ...before, state: "removing", revision: before.revision + 1 } };
      });
    });
  }

  /** Other sizes for what runs, where it is. */
  resize(name: string, request: ResizeRequest): Promise<Operation> {
    return this.#inOrder(name, () => this.#adjust(name, "resize", (before) => resized(before, request)));
  }

  /** Moves appliances to other hosts while they run. */
  migrate(name: string, request: MigrateRequest, signal: AbortSignal): Promise<Operation> {
    return this.#inOrder(name, () => this.#migrate(name, request, signal));
  }

  #migrate(name: string, request: MigrateRequest, signal: AbortSignal): Promise<Operation> {
    return this.admitInTurn(async (context) => {
      const { parts, facts } = context;
      const before = knownEnsemble(context, name);
      if (before.state === "removing") {
        throw new ConsortError("conflict", `Cannot migrate ${name}: it is being removed`);
      }
      const to = request.to === undefined ? undefined : hostId(request.to);
      const destination = to === undefined ? undefined : context.state.hosts().get(to);
      if (to !== undefined && destination === undefined) {
        throw new ConsortError("not_found", `Cannot migrate ${name}: no host is called "${to}"`);
      }
      if (destination?.role === "gateway") {
        throw new ConsortError("bad_input", `Cannot migrate ${name}: ${to} is a gateway, a host was wanted`);
      }
      const ids = namedToMove(context, before, request);
      const problem = migrationProblem(before, ids, to, facts());
      const mapping = await parts.solve(problem, signal);
      const [refusal] = mapping.violations;
      if (refusal !== undefined) {
        throw new ConsortError("unsatisfiable", `Cannot migrate ${ids.join(", ")}: ${refusal.message}`);
      }
      checkMapping(problem, mapping);
      const placements = Object.fromEntries(mapping.placements) as EnsembleRecord["placements"];
      const placed = {
        ...before,
        placements,
        paths: mapping.paths,
        leaving: leavingAfter(before, placements),
      };
      const after = { ...placed, unleased: unleasedAfter(before, placed), revision: before.revision + 1 };
      const destinations = Object.fromEntries(ids.map((id) => [id, placements[id]])) as Readonly<
        Record<ApplianceId, HostId>
      >;
      return this.#accept("migrate", () => {
        if (knownEnsemble(context, name) !== before) {
          throw new ConsortError("conflict", `Cannot migrate ${name}: it has changed in between, try again`);
        }
        return { record: withMoves(before, after, ids, () => newMove(parts)), appliances: ids, destinations };
      });
    });
  }

  /** Makes a machine anew from a checkpoint of it. */
  restore(
    name: string,
    from: { readonly appliance: string; readonly checkpoint?: string },
  ): Promise<Operation> {
    return this.#inOrder(name, () =>
      this.admitInTurn(async (context) =>
        this.#accept("restore", () => {
          const before = knownEnsemble(context, name);
          if (before.state === "removing") {
            throw new ConsortError("conflict", `Cannot restore ${name}: it is being removed`);
          }
          const restore = restoreOf(context, before, from);
          checkNotParked(before, [restore.id], `restore ${restore.id}`);
          checkNotMoving(before, [restore.id], `restore ${restore.id}`);
          return { record: withRestore(before, restore) };
        }),
      ),
    );
  }

  /** Holds appliances in memory. */
  suspend(name: string, appliances: readonly string[]): Promise<Operation> {
    return this.#inOrder(name, () =>
      this.#adjust(name, "suspend", (before) => held(before, "suspend", appliances)),
    );
  }

  /** Saves machines, and frees all that they have of their hosts. */
  park(name: string, appliances: readonly string[]): Promise<Operation> {
    return this.#inOrder(name, () =>
      this.admitInTurn(async (context) =>
        this.#accept("suspend", () => {
          const before = knownEnsemble(context, name);
          const { record, ids } = parking(context, before, appliances);
          return { record, undo: before, appliances: ids };
        }),
      ),
    );
  }

  /** Lets what is held go on, and machines that are on disk, there or where else they fit. */
  resume(name: string, request: ResumeRequest, signal: AbortSignal): Promise<Operation> {
    return this.#inOrder(name, () => {
      const ids = namedOnDisk(knownEnsemble(this.#context, name), request);
      if (ids.length > 0) return this.#unpark(name, ids, request.to, signal);
      return this.#adjust(name, "resume", (before) => held(before, "resume", request.appliances));
    });
  }

  #unpark(
    name: string,
    ids: readonly ApplianceId[],
    to: string | undefined,
    signal: AbortSignal,
  ): Promise<Operation> {
    return this.admitInTurn(async (context) => {
      const before = knownEnsemble(context, name);
      if (before.state === "removing") {
        throw new ConsortError("conflict", `Cannot resume ${name}: it is being removed`);
      }
      const record = await unparked(context, before, ids, to, signal);
      const destinations = Object.fromEntries(ids.map((id) => [id, record.placements[id]])) as Readonly<
        Record<ApplianceId, HostId>
      >;
      return this.#accept("resume", () => {
        if (knownEnsemble(context, name) !== before) {
          throw new ConsortError("conflict", `Cannot resume ${name}: it has changed in between, try again`);
        }
        return { record, undo: before, appliances: ids, destinations };
      });
    });
  }

  #adjust(
    name: string,
    kind: "resize" | "suspend" | "resume",
    adjust: (before: Ensemble) => Adjusted,
  ): Promise<Operation> {
    return this.admitInTurn(({ facts }) => {
      let summary = "";
      const draft = (): ReturnType<Parameters<Operations["accept"]>[1]> => {
        const before = knownEnsemble(this.#context, name);
        if (before.state === "removing") {
          throw new ConsortError("conflict", `Cannot ${kind} ${name}: it is being removed`);
        }
        const adjusted = adjust(before.ensemble);
        checkFits(before, adjusted.ensemble, kind, facts());
        summary = adjusted.summary;
        const ids = adjusted.changed.map((one) => applianceId(before.ensemble.name, one));
        checkNotParked(before, ids, `${kind} ${name}`);
        checkNotMoving(before, ids, `${kind} ${name}`);
        const clear = withoutAttempts(before, ids);
        return {
          record: { ...clear, ensemble: adjusted.ensemble, revision: before.revision + 1 },
          undo: before,
          appliances: ids,
        };
      };
      return this.#accept(kind, draft, () => summary);
    });
  }

  async #accept(
    kind: EnsembleChange,
    draft: Parameters<Operations["accept"]>[1],
    summary?: () => string,
  ): Promise<Operation> {
    const { operations, events, wake } = this.#context;
    const { operation, revision } = await operations.accept(kind, draft, this.#life);
    events.append(
      `ensemble.${kind}`,
      operation.ensemble ?? "",
      `${kind} accepted as revision ${revision}${summary === undefined ? "" : `: ${summary() || "nothing changes"}`}`,
    );
    wake.now();
    return operation;
  }

  cancel(id: OperationId): Promise<Operation> {
    const ensemble = this.#context.state.operation(id)?.operation.ensemble;
    return ensemble === undefined ? this.#cancel(id) : this.#inOrder(ensemble, () => this.#cancel(id));
  }

  #cancel(id: OperationId): Promise<Operation> {
    return this.admitInTurn(async ({ operations, facts, wake }) => {
      const cancelled = await operations.cancel(id, (before) => checkHolds(before, facts()), this.#life);
      wake.now();
      return cancelled;
    });
  }

  /** Changes of one ensemble are made in the order in which they were asked for. */
  #inOrder<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#asked.get(name) ?? Promise.resolve()).then(work);
    const forget = (): void => {
      if (this.#asked.get(name) === ended) this.#asked.delete(name);
    };
    const ended = turn.then(forget, forget);
    this.#asked.set(name, ended);
    return turn;
  }

  /** Throws `unavailable` once another cluster manager has taken over. */
  admitInTurn<Result>(work: (context: ClusterContext) => Promise<Result>): Promise<Result> {
    const context = this.#context;
    return context.admitInTurn(async () => {
      context.checkInCharge();
      return work(context);
    }, this.#life);
  }
}

export function knownEnsemble({ state }: ClusterContext, name: string): EnsembleRecord {
  const record = state.ensemble(name);
  if (record === undefined)
    throw new ConsortError("not_found", `Cannot find ensemble "${name}": no such ensemble is declared`);
  return record;
}
