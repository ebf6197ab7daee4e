import { utilisationOf } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";
import { ProcessorLoad } from "./processor-load.ts";
import type { ProcessorCapacity, SchedulingPolicy } from "./reservation.ts";

export type Partition =
  | { readonly ok: true; readonly processorOf: readonly number[] }
  /** `misfit`: the position of the first task that fitted nowhere. */
  | { readonly ok: false; readonly misfit: number; readonly loads: readonly ProcessorLoad[] };

/**
 * Puts each task on one processor, where it stays. First fit decreasing: the greatest utilisation first, each on the
 * first processor on which it and what is there keep their deadlines; where that fails, the same with the shortest
 * period first, which brings those together that divide each other. The answer depends on the set of tasks, not on
 * their order: what was admitted one by one is admitted again all at once.
 */
export function partition(
  tasks: readonly PeriodicTask[],
  processors: readonly ProcessorCapacity[],
  policy: SchedulingPolicy,
): Partition {
  const decreasing = firstFit(tasks, byUtilisation(tasks), processors, policy);
  if (decreasing.ok || processors.length < 2) return decreasing;
  const grouped = firstFit(tasks, byPeriod(tasks), processors, policy);
  return grouped.ok ? grouped : decreasing;
}

function firstFit(
  tasks: readonly PeriodicTask[],
  order: readonly number[],
  processors: readonly ProcessorCapacity[],
  policy: SchedulingPolicy,
): Partition {
  const loads = processors.map((capacity) => new ProcessorLoad(capacity, policy));
  const processorOf = tasks.map(() => -1);
  for (const index of order) {
    const task = tasks[index];
    if (task === undefined) continue;
    const processor = loads.findIndex((load) => load.fits(task));
    if (processor < 0) return { ok: false, misfit: index, loads };
    loads[processor]?.add(task);
    processorOf[index] = processor;
  }
  return { ok: true, processorOf };
}

const positions = (tasks: readonly PeriodicTask[]): number[] => tasks.map((_, index) => index);

function byUtilisation(tasks: readonly PeriodicTask[]): readonly number[] {
  const of = tasks.map(utilisationOf);
  const at = (values: readonly number[], index: number): number => values[index] ?? 0;
  return positions(tasks).sort((a, b) => at(of, b) - at(of, a) || shorterFirst(tasks, a, b));
}

function byPeriod(tasks: readonly PeriodicTask[]): readonly number[] {
  return positions(tasks).sort(
    (a, b) => shorterFirst(tasks, a, b) || (tasks[b]?.execution ?? 0) - (tasks[a]?.execution ?? 0),
  );
}

const shorterFirst = (tasks: readonly PeriodicTask[], a: number, b: number): number =>
  (tasks[a]?.period ?? 0) - (tasks[b]?.period ?? 0) || a - b;
