import { getPriority } from "node:os";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { jobKey } from "./job-groups.ts";
import { setSlice } from "./kernel/calls.ts";
import type { JobGroup } from "./port.ts";
import { threadsOf } from "./threads.ts";

const sliceUs = 100;
const usual = 0;
const lookEveryMs = 100;
/** So many jobs are looked at each time. */
const jobsPerLook = 20;

type Known = { readonly job: JobGroup; threads: ReadonlySet<number> };

/**
 * Threads of reserved machines get short turns: one that is woken then takes the processor at once from whoever has it,
 * where otherwise it would wait for that one's turn to end, milliseconds of a slot. What a thread starts inherits it;
 * what came from elsewhere meanwhile is found by looking again, a few jobs at a time.
 */
export class ShortSlices {
  readonly #layout: CgroupLayout;
  readonly #known = new Map<string, Known>();
  #waiting: Known[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(layout: CgroupLayout) {
    this.#layout = layout;
  }

  /** Of these jobs; what is not among them any more is as the kernel has it. */
  keep(jobs: readonly JobGroup[]): void {
    const wanted = new Set(jobs.map(jobKey));
    for (const [key, { threads }] of this.#known) {
      if (wanted.has(key)) continue;
      this.#known.delete(key);
      for (const thread of threads) give(thread, usual);
    }
    for (const job of jobs) {
      const key = jobKey(job);
      if (this.#known.has(key)) continue;
      const known = { job, threads: new Set<number>() };
      this.#known.set(key, known);
      this.#lookAt(known);
    }
    this.#waiting = [];
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (jobs.length > 0) this.#timer = setInterval(() => this.#look(), lookEveryMs).unref();
  }

  #look(): void {
    if (this.#waiting.length === 0) this.#waiting = [...this.#known.values()];
    for (const known of this.#waiting.splice(0, jobsPerLook)) this.#lookAt(known);
  }

  #lookAt(known: Known): void {
    const found = new Set(threadsOf(known.job, this.#layout));
    for (const thread of found) if (!known.threads.has(thread)) give(thread, sliceUs);
    known.threads = found;
  }
}

function give(thread: number, lengthUs: number): void {
  try {
    setSlice(thread, getPriority(thread), lengthUs);
  } catch {
    // It has ended.
  }
}
