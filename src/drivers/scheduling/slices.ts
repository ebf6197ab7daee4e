import { getPriority } from "node:os";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { jobKey } from "./job-groups.ts";
import { setSlice } from "./kernel/calls.ts";
import type { JobGroup } from "./port.ts";
import { threadsOf } from "./threads.ts";

const sliceUs = 100;
const usual = 0;
const lookEveryMs = 1000;

/**
 * Threads of reserved machines get short turns: one that is woken then takes the processor at once from whoever has it,
 * where otherwise it would wait for that one's turn to end, milliseconds of a slot. What a thread starts inherits it;
 * what came from elsewhere meanwhile is found by looking again, now and then.
 */
export class ShortSlices {
  readonly #layout: CgroupLayout;
  #jobs = new Map<string, JobGroup>();
  #given = new Set<number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(layout: CgroupLayout) {
    this.#layout = layout;
  }

  /** Of these jobs; what is not among them any more is as the kernel has it. */
  keep(jobs: readonly JobGroup[]): void {
    this.#jobs = new Map(jobs.map((job) => [jobKey(job), job]));
    this.#look();
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (jobs.length > 0) this.#timer = setInterval(() => this.#look(), lookEveryMs).unref();
  }

  #look(): void {
    const found = new Set<number>();
    for (const job of this.#jobs.values())
      for (const thread of threadsOf(job, this.#layout)) found.add(thread);
    for (const thread of found) if (!this.#given.has(thread)) give(thread, sliceUs);
    for (const thread of this.#given) if (!found.has(thread)) give(thread, usual);
    this.#given = found;
  }
}

function give(thread: number, lengthUs: number): void {
  try {
    setSlice(thread, getPriority(thread), lengthUs);
  } catch {
    // It has ended.
  }
}
