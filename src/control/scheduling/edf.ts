import { utilisationGrace, utilisationOfAll } from "./periodic-task.ts";
import type { PeriodicTask } from "./periodic-task.ts";

/** Earliest deadline first, deadlines at the ends of periods: whatever does not exceed the processor is schedulable. */
export const earliestDeadlineFeasible = (tasks: readonly PeriodicTask[]): boolean =>
  tasks.every((task) => task.execution <= task.period) && utilisationOfAll(tasks) <= 1 + utilisationGrace;
