import { ConsortError } from "#base/errors.ts";
import type { ReservationBook, BookResult } from "#control/scheduling/book.ts";
import type { BookedMachine } from "#control/scheduling/admission.ts";
import { chosenEnforcement } from "#control/scheduling/choose-enforcement.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import { refusalText } from "#control/scheduling/refusal.ts";
import type { Refusal } from "#control/scheduling/refusal.ts";
import type { Reservation, SchedulingPolicy, TeamReservation } from "#control/scheduling/reservation.ts";
import { undisturbed } from "./kernel/calls.ts";
import type {
  CpuEnforcer,
  CpuScheduler,
  EnforcedMachine,
  EnforcedTeam,
  EnforcementCounters,
  EnforcementKind,
  MachineRequest,
} from "./port.ts";

/** Done before anybody notices. */
const fewChanges = 4;

type Held = { readonly request: MachineRequest; readonly kind: EnforcementKind; suspended: boolean };

/** The reservations of one host: the book decides, the back end a machine is kept by carries out. */
export class HostCpuScheduler implements CpuScheduler {
  readonly #book: ReservationBook;
  readonly #enforcers: ReadonlyMap<EnforcementKind, CpuEnforcer>;
  readonly #held = new Map<string, Held>();

  /** `enforcers`: those that work here. */
  constructor(book: ReservationBook, enforcers: readonly CpuEnforcer[]) {
    this.#book = book;
    this.#enforcers = new Map(enforcers.map((enforcer) => [enforcer.kind, enforcer]));
  }

  recover(machines: readonly (MachineRequest & { readonly suspended: boolean })[]): void {
    const held = machines.map(({ suspended, ...request }) => ({
      request,
      suspended,
      kind: this.#kindOf(request),
    }));
    // Of an attempt that a back end has refused.
    for (const id of this.#held.keys()) this.#book.expel(id);
    this.#held.clear();
    this.#admitted(
      this.#book.reserveAll(held.map(({ request, kind, suspended }) => booked(request, kind, suspended))),
      "take over what is reserved here",
    );
    for (const each of held) this.#held.set(each.request.id, each);
    for (const enforcer of this.#enforcers.values()) this.#apply(enforcer.kind);
  }

  admit(machine: MachineRequest): void {
    const refusal = this.#book.admit(booked(machine, this.#kindOf(machine), false));
    if (refusal !== undefined) throw refused(`reserve CPU time for ${machine.id}`, refusal);
  }

  reserve(machine: MachineRequest): void {
    const before = this.#held.get(machine.id);
    const kind = this.#kindOf(machine);
    const suspended = before?.suspended ?? false;
    this.#admitted(
      this.#book.reserve(booked(machine, kind, suspended)),
      `reserve CPU time for ${machine.id}`,
    );
    this.#held.set(machine.id, { request: machine, kind, suspended });
    try {
      // Let go by the one before it is taken by the other: what one has stopped the other could not continue.
      if (before !== undefined && before.kind !== kind) this.#apply(before.kind);
      this.#apply(kind);
    } catch (error) {
      this.#putBack(machine.id, before);
      throw error;
    }
  }

  expel(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#book.expel(id);
    this.#apply(held.kind);
  }

  /** What is managed here comes before its manager, by its weight: admission, too, would wait until that lets it run. */
  adapt(changes: ReadonlyMap<string, Reservation>): void {
    if (changes.size > fewChanges) undisturbed(() => this.#adapt(changes));
    else this.#adapt(changes);
  }

  #adapt(changes: ReadonlyMap<string, Reservation>): void {
    const before = new Map<string, Reservation>();
    for (const id of changes.keys()) before.set(id, this.#mustHold(id).request.reservation);
    const result = this.#book.adapt(changes);
    this.#admitted(result, "adapt reservations of CPU time");
    try {
      this.#enforce(changes, result);
    } catch (error) {
      this.#enforce(before, this.#book.adapt(before));
      throw error;
    }
    for (const [id, reservation] of changes) {
      const held = this.#mustHold(id);
      this.#held.set(id, { ...held, request: { ...held.request, reservation } });
    }
  }

  suspend(id: string): void {
    this.#setSuspended(id, true);
  }

  resume(id: string): void {
    this.#setSuspended(id, false);
  }

  enforcementOf(id: string): EnforcementKind | undefined {
    return this.#held.get(id)?.kind;
  }

  counters(): readonly EnforcementCounters[] {
    return [...this.#enforcers.values()].flatMap((enforcer) => enforcer.counters());
  }

  get table(): DispatchTable {
    return this.#book.table;
  }

  setPolicy(policy: SchedulingPolicy): void {
    this.#admitted(this.#book.setPolicy(policy), `schedule by ${policy}`);
    this.#apply("dispatch-table");
  }

  async ready(): Promise<void> {
    for (const enforcer of this.#enforcers.values()) await enforcer.ready?.();
  }

  async close(): Promise<void> {
    this.#held.clear();
    for (const enforcer of this.#enforcers.values()) await enforcer.close();
  }

  #setSuspended(id: string, suspended: boolean): void {
    const held = this.#mustHold(id);
    if (held.suspended === suspended) return;
    const set = (to: boolean): void => {
      held.suspended = to;
      this.#book.setSuspended(id, to);
      this.#apply(held.kind);
    };
    try {
      set(suspended);
    } catch (error) {
      set(!suspended);
      throw error;
    }
  }

  #enforce(changes: ReadonlyMap<string, Reservation>, result: BookResult): void {
    const effect = result.ok ? result.effect : ({ kind: "none" } as const);
    for (const [kind, enforcer] of this.#enforcers) {
      const own = changesOf(changes, (id) => this.#held.get(id)?.kind === kind);
      if (own.size > 0) enforcer.adapt(own, effect, this.#book.table);
    }
  }

  #putBack(id: string, before: Held | undefined): void {
    if (before === undefined) {
      this.expel(id);
      return;
    }
    const failed = this.#held.get(id);
    this.#book.reserve(booked(before.request, before.kind, before.suspended));
    this.#held.set(id, before);
    if (failed !== undefined && failed.kind !== before.kind) this.#apply(failed.kind);
    this.#apply(before.kind);
  }

  #apply(kind: EnforcementKind): void {
    const machines = [...this.#held.values()].filter((held) => held.kind === kind).map(enforced);
    this.#enforcers.get(kind)?.apply(machines, this.#book.table);
  }

  #kindOf(machine: MachineRequest): EnforcementKind {
    const works = new Set(this.#enforcers.keys());
    const { enforcement, reservation, cgroup } = machine;
    const isLimited = cgroup !== undefined;
    const kind = chosenEnforcement({ enforcement, reservation, programs: machine, isLimited }, works);
    if (kind !== undefined && works.has(kind)) return kind;
    const what = machine.enforcement === "auto" ? "no way to keep it" : machine.enforcement;
    throw new ConsortError(
      "unsupported",
      `Cannot reserve CPU time for ${machine.id}: ${what} works on this host, which has ${[...works].join(", ") || "none"}`,
    );
  }

  #mustHold(id: string): Held {
    const held = this.#held.get(id);
    if (held !== undefined) return held;
    throw new ConsortError("not_found", `Cannot change ${id}: it has nothing reserved here`);
  }

  #admitted(result: BookResult, action: string): void {
    if (!result.ok) throw refused(action, result.refusal);
  }
}

function refused(action: string, refusal: Refusal): ConsortError {
  const { code, machine, largestFeasibleUs } = refusal;
  const error = code === "bad-reservation" ? "bad_input" : "unsatisfiable";
  return new ConsortError(error, `Cannot ${action}: ${refusalText(refusal)}`, {
    details: {
      refusal: code,
      machine,
      ...(largestFeasibleUs === undefined ? {} : { largestFeasibleUs }),
    },
  });
}

function booked(
  { id, reservation, teams }: MachineRequest,
  kind: EnforcementKind,
  suspended: boolean,
): BookedMachine {
  const team = ({ name, policy, reservation: own, teams: inner }: EnforcedTeam): TeamReservation => ({
    name,
    policy,
    ...(own === undefined ? {} : { reservation: own }),
    teams: inner.map(team),
  });
  return { id, reservation, kind, suspended, teams: teams.map(team) };
}

function enforced({ request, suspended }: Held): EnforcedMachine {
  const { enforcement: _chosen, ...machine } = request;
  return { ...machine, suspended };
}

function changesOf(
  changes: ReadonlyMap<string, Reservation>,
  isOwn: (id: string) => boolean,
): ReadonlyMap<string, Reservation> {
  for (const id of changes.keys()) {
    if (!isOwn(id)) return new Map([...changes].filter(([each]) => isOwn(each)));
  }
  return changes;
}
