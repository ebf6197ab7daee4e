import { ConsortError } from "#base/errors.ts";
import type { SlotChange } from "#control/scheduling/adapt-table.ts";
import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import { capacity, tableWord, targetWord, targetWords, word } from "./memory.ts";
import type { TableHalf, TableMemory } from "./memory.ts";

/** A target as the dispatcher needs it: by numbers. */
export type PlacedTarget = {
  readonly machine: number;
  readonly cursor: number;
  readonly suspended: boolean;
  /** See `turnsOf`. */
  readonly turns: readonly (readonly number[])[];
};

/** Refused whole, before anything is written. @throws limit_exceeded */
export function assertFits(table: DispatchTable, targets: readonly PlacedTarget[]): void {
  const turns = targets.flatMap((target) => target.turns);
  const within = (what: string, count: number, max: number): void => {
    if (count <= max) return;
    throw new ConsortError(
      "limit_exceeded",
      `Cannot write the dispatch table: ${count} ${what}, at most ${max} fit`,
    );
  };
  within("processors", table.slots.length, capacity.processors);
  within("targets", targets.length, capacity.targets);
  within("turns", turns.length, capacity.turns);
  within(
    "jobs in turns",
    turns.reduce((sum, turn) => sum + turn.length, 0),
    capacity.turnJobs,
  );
  within(
    "slots",
    table.slots.reduce((sum, column) => sum + column.length, 0),
    capacity.slots,
  );
}

/** A whole table, in effect at the next slot. */
export function publish(memory: TableMemory, table: DispatchTable, targets: readonly PlacedTarget[]): void {
  inBothHalves(memory, (half) => writeTable(half, table, targets));
}

/** Some slots, all at once, in effect at the next one: a few words. */
export function publishSlots(memory: TableMemory, changes: readonly SlotChange[]): void {
  inBothHalves(memory, ({ head, slots }) => {
    for (const { processor, slot, target } of changes) {
      slots[(head[tableWord.columns + 2 * processor] ?? 0) + slot] = target;
    }
  });
}

/** First in the half that is not in use; then that one is used, and the other follows, so that both are the same. */
function inBothHalves(memory: TableMemory, write: (half: TableHalf) => void): void {
  const generation = Atomics.load(memory.header, word.generation);
  const next = (generation + 1) & 0x7fff_ffff;
  write(memory.half(next));
  Atomics.store(memory.header, word.generation, next);
  write(memory.half(generation));
}

function writeTable(half: TableHalf, table: DispatchTable, targets: readonly PlacedTarget[]): void {
  half.head[tableWord.processors] = table.slots.length;
  half.head[tableWord.quantumUs] = targets.length === 0 ? 0 : table.quantumUs;
  half.head[tableWord.targets] = targets.length;
  let slot = 0;
  for (const [processor, column] of table.slots.entries()) {
    half.head[tableWord.columns + 2 * processor] = slot;
    half.head[tableWord.columns + 2 * processor + 1] = column.length;
    half.slots.set(column, slot);
    slot += column.length;
  }
  let turn = 0;
  let turnJob = 0;
  for (const [at, target] of targets.entries()) {
    const words = at * targetWords;
    half.targets[words + targetWord.machine] = target.machine;
    half.targets[words + targetWord.cursor] = target.cursor;
    half.targets[words + targetWord.firstTurn] = turn;
    half.targets[words + targetWord.turns] = target.turns.length;
    half.targets[words + targetWord.suspended] = target.suspended ? 1 : 0;
    for (const jobs of target.turns) {
      half.turns[2 * turn] = turnJob;
      half.turns[2 * turn + 1] = jobs.length;
      turn += 1;
      half.turnJobs.set(jobs, turnJob);
      turnJob += jobs.length;
    }
  }
}
