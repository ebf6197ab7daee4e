import { schedulingLimits } from "./limits.ts";
import { utilisationGrace, utilisationOf, utilisationOfAll } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import { ProcessorLoad, usableShare } from "./processor-load.ts";
import type { ProcessorCapacity, SchedulingPolicy } from "./reservation.ts";

export type Partition =
  | { readonly ok: true; readonly processorOf: readonly number[] }
  /** `misfit`: the position of the first task that fitted nowhere, and what the processors held by then. */
  | { readonly ok: false; readonly misfit: number; readonly loads: readonly ProcessorLoad[] };

/**
 * Puts each task on one processor, where it stays. First fit decreasing: the greatest utilisation first, each on the
 * first processor on which it and what is there keep their deadlines, and repeat soon enough for a table. Where that
 * fails, the same with the shortest period first, which brings those together that divide each other; then, when
 * thorough, a search of all ways that gives up after so many steps. The answer depends on the set of tasks, not on
 * their order.
 */
export function partition(
  tasks: readonly PeriodicTask[],
  processors: readonly ProcessorCapacity[],
  policy: SchedulingPolicy,
  effort: "quick" | "thorough",
): Partition {
  const nowhere = tasks.map(() => undefined);
  const order = byUtilisation(tasks);
  const decreasing = firstFit(tasks, order, nowhere, processors, policy);
  if (decreasing.ok || processors.length < 2) return decreasing;
  const capacity = processors.reduce((sum, one) => sum + usableShare(one), 0);
  if (utilisationOfAll(tasks) > capacity + utilisationGrace) return decreasing;
  const grouped = firstFit(tasks, byPeriod(tasks), nowhere, processors, policy);
  if (grouped.ok || effort === "quick") return grouped.ok ? grouped : decreasing;
  const found = search(tasks, order, processors, policy);
  return found === undefined ? decreasing : { ok: true, processorOf: found };
}

/** The same for tasks of which some have their processor and stay there (a position in `processors`). */
export const partitionAround = (
  tasks: readonly PeriodicTask[],
  settled: readonly (number | undefined)[],
  processors: readonly ProcessorCapacity[],
  policy: SchedulingPolicy,
): Partition => {
  const order = byUtilisation(tasks);
  const first = [
    ...order.filter((index) => settled[index] !== undefined),
    ...order.filter((index) => settled[index] === undefined),
  ];
  return firstFit(tasks, first, settled, processors, policy);
};

function firstFit(
  tasks: readonly PeriodicTask[],
  order: readonly number[],
  settled: readonly (number | undefined)[],
  processors: readonly ProcessorCapacity[],
  policy: SchedulingPolicy,
): Partition {
  const loads = processors.map(
    (capacity) => new ProcessorLoad(capacity, policy, schedulingLimits.tableSlotsMax),
  );
  const processorOf = tasks.map(() => -1);
  for (const index of order) {
    const task = tasks[index];
    if (task === undefined) continue;
    const only = settled[index];
    const processor = loads.findIndex(
      (load, position) => (only === undefined || only === position) && load.fits(task),
    );
    if (processor < 0) return { ok: false, misfit: index, loads };
    loads[processor]?.add(task);
    processorOf[index] = processor;
  }
  return { ok: true, processorOf };
}

/** Depth first, in this order; a processor like one that was tried, and as empty, is not tried again. */
function search(
  tasks: readonly PeriodicTask[],
  order: readonly number[],
  processors: readonly ProcessorCapacity[],
  policy: SchedulingPolicy,
): readonly number[] | undefined {
  const onProcessor: PeriodicTask[][] = processors.map(() => []);
  const shares = processors.map(() => 0);
  const processorOf = tasks.map(() => -1);
  let steps = 0;
  const place = (depth: number): boolean => {
    const index = order[depth];
    const task = index === undefined ? undefined : tasks[index];
    if (index === undefined || task === undefined) return true;
    const triedEmpty = new Set<number>();
    for (const [processor, capacity] of processors.entries()) {
      const here = onProcessor[processor] ?? [];
      if (here.length === 0 && triedEmpty.has(capacity.milli)) continue;
      if (here.length === 0) triedEmpty.add(capacity.milli);
      steps += 1;
      if (steps > schedulingLimits.placementStepsMax) return false;
      const share = shares[processor] ?? 0;
      // Most do not fit for want of room, which takes no analysis.
      if (share + utilisationOf(task) > usableShare(capacity) + utilisationGrace) continue;
      if (!loadOf(here, capacity, policy).fits(task)) continue;
      here.push(task);
      shares[processor] = share + utilisationOf(task);
      processorOf[index] = processor;
      if (place(depth + 1)) return true;
      here.pop();
      shares[processor] = share;
    }
    return false;
  };
  return place(0) ? processorOf : undefined;
}

function loadOf(
  tasks: readonly PeriodicTask[],
  capacity: ProcessorCapacity,
  policy: SchedulingPolicy,
): ProcessorLoad {
  const load = new ProcessorLoad(capacity, policy, schedulingLimits.tableSlotsMax);
  for (const task of tasks) load.add(task);
  return load;
}

const positions = (tasks: readonly PeriodicTask[]): number[] => tasks.map((_, index) => index);

function byUtilisation(tasks: readonly PeriodicTask[]): readonly number[] {
  const of = tasks.map(utilisationOf);
  const at = (index: number): number => of[index] ?? 0;
  return positions(tasks).sort((a, b) => at(b) - at(a) || shorterFirst(tasks, a, b));
}

function byPeriod(tasks: readonly PeriodicTask[]): readonly number[] {
  return positions(tasks).sort(
    (a, b) => shorterFirst(tasks, a, b) || (tasks[b]?.execution ?? 0) - (tasks[a]?.execution ?? 0),
  );
}

const shorterFirst = (tasks: readonly PeriodicTask[], a: number, b: number): number =>
  (tasks[a]?.period ?? 0) - (tasks[b]?.period ?? 0);
