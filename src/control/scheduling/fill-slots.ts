import type { PeriodicTask } from "./periodic-task.ts";
import type { SchedulingPolicy } from "./reservation.ts";
import { rateMonotonicOrder } from "./response-time.ts";

type Job = { readonly task: number; readonly release: number; readonly deadline: number };

/**
 * Who runs in each of `length` slots, as a position in `tasks`, or -1. `length` is a multiple of all periods. Undefined
 * when a task misses the end of a period.
 *
 * Jobs are laid out one after the other, the most urgent first; each takes the first free slots from its beginning on.
 * That is just what a preemptive scheduler with these priorities does slot by slot, as a job is never moved by a less
 * urgent one, and it needs no queue.
 */
export function fillSlots(
  tasks: readonly PeriodicTask[],
  length: number,
  policy: SchedulingPolicy,
): Int32Array | undefined {
  const slots = new Int32Array(length).fill(-1);
  const free = new NextFree(length);
  for (const job of jobsInOrder(tasks, length, policy)) {
    const wanted = tasks[job.task]?.execution ?? 0;
    let slot = free.from(job.release);
    for (let taken = 0; taken < wanted; taken += 1) {
      if (slot >= job.deadline) return undefined;
      slots[slot] = job.task;
      slot = free.take(slot);
    }
  }
  return slots;
}

function jobsInOrder(
  tasks: readonly PeriodicTask[],
  length: number,
  policy: SchedulingPolicy,
): readonly Job[] {
  const jobs: Job[] = [];
  for (const task of rateMonotonicOrder(tasks)) {
    const period = tasks[task]?.period ?? length;
    for (let release = 0; release < length; release += period)
      jobs.push({ task, release, deadline: release + period });
  }
  if (policy === "rate-monotonic") return jobs;
  return jobs.sort((a, b) => a.deadline - b.deadline || a.release - b.release || a.task - b.task);
}

/** Finds the next free slot in nearly constant time: taken slots point on, and paths are shortened as they are walked. */
class NextFree {
  readonly #next: Int32Array;

  constructor(length: number) {
    this.#next = new Int32Array(length + 1);
    for (let slot = 0; slot <= length; slot += 1) this.#next[slot] = slot;
  }

  from(slot: number): number {
    const next = this.#next;
    let at = slot;
    while (next[at] !== at) {
      const beyond = next[next[at] ?? at] ?? at;
      next[at] = beyond;
      at = beyond;
    }
    return at;
  }

  /** Takes this slot and tells the next free one. */
  take(slot: number): number {
    this.#next[slot] = slot + 1;
    return this.from(slot + 1);
  }
}
