import { ConsortError } from "#base/errors.ts";
import { InTurn } from "#base/in-turn.ts";
import { bitsPerSecond, formatBandwidth } from "#base/units.ts";
import type { BitsPerSecond } from "#base/units.ts";
import { linkShares } from "#model/wire.ts";
import { assignNumbers } from "../class-numbers.ts";
import { classTree } from "../class-tree.ts";
import type { LinkTree } from "../class-tree.ts";
import type {
  InterfaceReservation,
  InterfaceReservations,
  ReservationChange,
  TrafficTarget,
} from "./port.ts";
import { entriesOf } from "./target-rules.ts";
import type { DirectedTarget } from "./target-rules.ts";

/** The interface as the ledger needs it. Each call changes all that it is told, or nothing. */
export type ShapedInterface = {
  /** Sets these classes; others stay. */
  setClasses(classes: LinkTree): void;
  dropClass(minor: number): void;
  direct(targets: readonly DirectedTarget[]): Promise<void>;
  close(): Promise<void>;
};

/** Admission and book-keeping of the reservations on one interface. */
export class ReservationLedger implements InterfaceReservations {
  readonly promisableBps: BitsPerSecond;
  readonly #interface: ShapedInterface;
  readonly #bandwidthBps: BitsPerSecond;
  readonly #entries = new Map<string, InterfaceReservation>();
  #numbers: ReadonlyMap<string, number> = new Map();
  readonly #turns = new InTurn();
  #closed: Promise<void> | undefined;

  constructor(bandwidthBps: BitsPerSecond, shaped: ShapedInterface) {
    this.#bandwidthBps = bandwidthBps;
    this.promisableBps = linkShares(bandwidthBps).promisableBps;
    this.#interface = shaped;
    shaped.setClasses(this.#tree([]));
  }

  list(): readonly InterfaceReservation[] {
    return [...this.#entries.values()];
  }

  admit(reservation: InterfaceReservation): void {
    const others = this.list().filter(({ name }) => name !== reservation.name);
    this.#admitBeside(others, reservation);
  }

  reserve(reservation: InterfaceReservation): Promise<void> {
    return this.#turns.run(async () => {
      const { name } = reservation;
      if (this.#entries.has(name)) {
        throw new ConsortError(
          "conflict",
          `Cannot reserve bandwidth for ${name}: it has a reservation already`,
        );
      }
      this.#admitBeside(this.list(), reservation);
      this.#entries.set(name, reservation);
      this.#numbers = assignNumbers([...this.#entries.keys()], this.#numbers);
      try {
        this.#interface.setClasses(this.#tree([reservation]));
        await this.#interface.direct(this.#directed());
      } catch (cause) {
        this.#forget(name);
        throw cause;
      }
    });
  }

  adapt(changes: readonly ReservationChange[]): void {
    const changed = changes.map(({ name, rateBps, ceilingBps }): InterfaceReservation => {
      const { priority, targets } = this.#entry(name);
      return { name, rateBps, priority, targets, ...(ceilingBps === undefined ? {} : { ceilingBps }) };
    });
    this.#admit(`adapt the bandwidth of ${changes.map(({ name }) => name).join(", ")}`, changed);
    this.#interface.setClasses(this.#tree(changed));
    for (const each of changed) this.#entries.set(each.name, each);
  }

  retarget(name: string, targets: readonly TrafficTarget[]): Promise<void> {
    return this.#turns.run(async () => {
      const before = this.#entry(name);
      const others = this.list().filter((each) => each.name !== name);
      checkTargets([...others, { ...before, targets }]);
      this.#entries.set(name, { ...before, targets });
      try {
        await this.#interface.direct(this.#directed());
      } catch (cause) {
        this.#entries.set(name, { ...this.#entry(name), targets: before.targets });
        throw cause;
      }
    });
  }

  release(name: string): Promise<void> {
    return this.#turns.run(async () => {
      this.#entry(name);
      // First nothing goes to its class any more, then the class goes.
      await this.#interface.direct(this.#directed(name));
      this.#forget(name);
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#turns.run(async () => {
      this.#entries.clear();
      await this.#interface.close();
    });
    return this.#closed;
  }

  #forget(name: string): void {
    const minor = this.#numbers.get(name);
    this.#entries.delete(name);
    this.#numbers = new Map([...this.#numbers].filter(([each]) => each !== name));
    if (minor !== undefined) this.#interface.dropClass(minor);
  }

  #entry(name: string): InterfaceReservation {
    const entry = this.#entries.get(name);
    if (entry !== undefined) return entry;
    throw new ConsortError("not_found", `Cannot change the bandwidth of ${name}: it has no reservation`);
  }

  #admitBeside(others: readonly InterfaceReservation[], reservation: InterfaceReservation): void {
    const { name, targets } = reservation;
    // Nothing would ever go by it.
    if (!Array.isArray(targets) || targets.length === 0)
      throw new ConsortError(
        "bad_input",
        `Cannot reserve bandwidth for ${name}: no target was given, wanted addresses it sends to, or ports of its own`,
      );
    checkTargets([...others, reservation]);
    this.#admit(`reserve bandwidth for ${name}`, [reservation]);
  }

  /** Those that change take the place of what they were. */
  #admit(action: string, changed: readonly InterfaceReservation[]): void {
    for (const { name, rateBps, ceilingBps, priority } of changed) {
      const isSound =
        Number.isFinite(rateBps) &&
        rateBps > 0 &&
        (ceilingBps ?? rateBps) >= rateBps &&
        Number.isInteger(priority) &&
        priority >= 0 &&
        priority <= 7;
      if (isSound) continue;
      throw new ConsortError(
        "bad_input",
        `Cannot ${action}: ${name} asks for ${rateBps} bit/s, at most ${ceilingBps ?? "all"}, priority ${priority}; wanted a rate above 0, not above its ceiling, and a priority of 0 to 7`,
      );
    }
    if (new Set(changed.map(({ name }) => name)).size < changed.length) {
      throw new ConsortError("bad_input", `Cannot ${action}: one is named twice, wanted one change of each`);
    }
    const wanted = changed.reduce((sum, { rateBps }) => sum + rateBps, 0);
    let promised = wanted;
    for (const { rateBps } of this.#entries.values()) promised += rateBps;
    for (const { name } of changed) promised -= this.#entries.get(name)?.rateBps ?? 0;
    if (promised <= this.promisableBps) return;
    throw new ConsortError(
      "unsatisfiable",
      `Cannot ${action}: ${formatBandwidth(bitsPerSecond(wanted))} are asked for, and ${shown(this.promisableBps - promised + wanted)} of ${shown(this.promisableBps)} are not reserved by others`,
    );
  }

  #tree(reservations: readonly InterfaceReservation[]): LinkTree {
    const flows = reservations.map(({ name, rateBps, ceilingBps, priority }) => ({
      pair: name,
      rateBps,
      priority,
      ...(ceilingBps === undefined ? {} : { ceilingBps }),
    }));
    return classTree(linkShares(this.#bandwidthBps), [], flows, this.#numbers);
  }

  #directed(except?: string): readonly DirectedTarget[] {
    return this.list().flatMap(({ name, targets }) => {
      const minor = this.#numbers.get(name);
      return minor === undefined || name === except ? [] : targets.map((target) => ({ target, minor }));
    });
  }
}

/** Never more than it is. */
const shown = (bps: number): string => {
  const step = bps >= 1e6 ? 1e4 : 10;
  return formatBandwidth(bitsPerSecond(Math.max(0, Math.floor(bps / step) * step)));
};

/** Throws `conflict` where two have the same target. */
function checkTargets(reservations: readonly InterfaceReservation[]): void {
  const owners = new Map<string, string>();
  for (const { name, targets } of reservations) {
    for (const { map, key } of targets.flatMap(entriesOf)) {
      const owner = owners.get(`${map} ${key}`);
      if (owner !== undefined) {
        throw new ConsortError(
          "conflict",
          `Cannot reserve bandwidth for ${name}: its target ${key} is that of ${owner} already`,
        );
      }
      owners.set(`${map} ${key}`, name);
    }
  }
}
