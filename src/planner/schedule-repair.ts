import type { HostId } from "#base/ids.ts";
import type { BookedMachine } from "#control/scheduling/admission.ts";
import { machineOf, scheduleRefusal, stayingMachines } from "#planner/reservations.ts";
import type { MapperState } from "#planner/state.ts";

/** Moves tried for one host: beyond, what is left is told. */
const movesMost = 64;

/**
 * Last: the search goes by sums of shares, and reservations kept by dispatch tables may not fit in time where there is
 * room in sum. Whoever is in the way goes to a host that can keep it too, the least first, as long as that breaks no
 * promise. Nothing is done, and nothing is asked, where nobody has such a reservation.
 */
export function repairSchedules(state: MapperState, units: readonly number[]): void {
  const { compiled } = state;
  const book = schedulesOf(state);
  if (book === undefined) return;
  for (let host = 0; host < compiled.hostCount; host += 1) {
    for (let tried = 0; tried < movesMost && !book.isKept(host); tried += 1) {
      if (!makeRoom(state, book, units, host)) break;
    }
  }
}

/** Undefined: nobody asks for more than sums can tell. */
export function schedulesOf(state: MapperState): Schedules | undefined {
  const machines = state.compiled.appliances.map((appliance) => machineOf(appliance));
  if (!machines.some((machine) => machine !== undefined && machine.kind !== "bandwidth")) return undefined;
  return new Schedules(state, machines);
}

/** Moves one unit off the host to where it is kept; false: nobody can go. */
function makeRoom(state: MapperState, book: Schedules, units: readonly number[], host: number): boolean {
  const { compiled } = state;
  const leaving = units
    .filter((unit) => state.hostOf[unit] === host && book.isTabled(unit))
    .sort((a, b) => compiled.unitCpu[a]! - compiled.unitCpu[b]!);
  for (const unit of leaving) {
    for (const other of compiled.choices[compiled.unitChoice[unit]!]!.list) {
      if (other === host || state.lacksRoom(unit, other)) continue;
      const { violation } = state;
      state.begin();
      state.move(unit, other);
      state.route();
      if (state.violation <= violation && book.isKept(other)) return true;
      state.undo();
    }
  }
  return false;
}

/** Which reservations are on which host, as the state has it. */
export class Schedules {
  readonly #state: MapperState;
  readonly #ofUnit: BookedMachine[][];
  readonly #staying: ReadonlyMap<HostId, readonly BookedMachine[]>;

  constructor(state: MapperState, machines: readonly (BookedMachine | undefined)[]) {
    const { problem, unitCount, unitOf } = state.compiled;
    this.#state = state;
    this.#staying = stayingMachines(problem);
    this.#ofUnit = Array.from({ length: unitCount }, () => []);
    machines.forEach((machine, index) => {
      if (machine !== undefined) this.#ofUnit[unitOf[index]!]!.push(machine);
    });
  }

  isTabled(unit: number): boolean {
    return this.#ofUnit[unit]!.some(({ kind }) => kind !== "bandwidth");
  }

  isKept(host: number): boolean {
    const { firstOn, nextOn, compiled } = this.#state;
    const spec = compiled.problem.topology.hosts[host]!;
    const machines = [...(this.#staying.get(spec.id) ?? [])];
    for (let unit = firstOn[host]!; unit >= 0; unit = nextOn[unit]!) machines.push(...this.#ofUnit[unit]!);
    return scheduleRefusal(machines, spec) === undefined;
  }
}
