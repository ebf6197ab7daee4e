import { getPriority } from "node:os";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { jobKey } from "../job-groups.ts";
import {
  becomeOrdinary,
  isTakingTurns,
  processorsOf,
  setAnyProcessor,
  setProcessors,
  setSlice,
  takeTurns,
} from "../kernel/calls.ts";
import type { JobGroup } from "../port.ts";
import { threadsOf } from "../threads.ts";
import type { PutBack } from "./raised.ts";
import type { RoomRequest } from "./real-time-rooms.ts";

const sliceUs = 100;
const usual = 0;
const lookEveryMs = 100;
/** So many jobs are looked at each time. */
const jobsPerLook = 20;

/** `processor`: the one its slots are of, where it is to run before all ordinary threads; undefined: it stays one. */
export type SlotJob = { readonly job: JobGroup; readonly processor: number | undefined };

type Known = SlotJob & { threads: ReadonlySet<number> };

/**
 * What makes threads of dispatched machines run in their slots whatever else wants to: the lowest real-time priority, in
 * turns among themselves, on the one processor the slots are of, as real-time threads know no quota; they are stopped
 * outside their slots. Threads that chose processors for themselves, or that the kernel refuses this, stay ordinary and
 * get short turns: one that is woken then takes the processor at once from whoever has it, where otherwise it would wait
 * for that one's turn to end, milliseconds of a slot.
 *
 * What such a thread starts is ordinary; it and what came from elsewhere are found by looking again, a few jobs at a time.
 */
export class SlotThreads {
  readonly #layout: CgroupLayout;
  /** What threads may use that have not chosen. */
  readonly #all = String(processorsOf(0));
  readonly #known = new Map<string, Known>();
  #waiting: Known[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(layout: CgroupLayout) {
    this.#layout = layout;
  }

  /** Of these jobs; what is not among them any more is as the kernel has it. */
  keep(jobs: readonly SlotJob[]): void {
    const wanted = new Set(jobs.map(({ job }) => jobKey(job)));
    for (const [key, known] of this.#known) {
      if (wanted.has(key)) continue;
      this.#known.delete(key);
      letGo(known, this.#layout);
    }
    for (const { job, processor } of jobs) {
      const key = jobKey(job);
      const before = this.#known.get(key);
      if (before !== undefined && before.processor === processor) continue;
      if (before !== undefined) letGo(before, this.#layout);
      const known = { job, processor, threads: new Set<number>() };
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
    for (const thread of found) if (!known.threads.has(thread)) this.#favour(thread, known.processor);
    known.threads = found;
  }

  #favour(thread: number, processor: number | undefined): void {
    if (processor !== undefined && this.#putOn(thread, processor)) {
      if (takeTurns(thread)) return;
      setAnyProcessor(thread);
    }
    giveSlice(thread, sliceUs);
  }

  /** What a thread on it starts is on it from the beginning. */
  #putOn(thread: number, processor: number): boolean {
    const now = String(processorsOf(thread));
    return now === String(processor) || (now === this.#all && setProcessors(thread, [processor]));
  }
}

/**
 * One all of whose jobs may come before ordinary threads on this processor; `threadLists` are the files in which the
 * groups of these jobs list their threads.
 */
export type PlacedMachine = RoomRequest & {
  readonly processor: number;
  readonly threadLists: readonly string[];
};

/** How what was given to threads of these groups is taken back. */
export const turnsPutBacks = ({ threadLists, processor }: PlacedMachine): readonly PutBack[] =>
  threadLists.map((file) => ({ kind: "turns", file, processor }));

/** All its threads there are, also those it has started since somebody looked. */
function letGo({ job, processor }: Known, layout: CgroupLayout): void {
  for (const thread of threadsOf(job, layout)) {
    if (processor !== undefined) endTurns(thread, processor);
    giveSlice(thread, usual);
  }
}

/** An ordinary thread again, on any processor. One that takes turns by its own choice goes on doing so. */
export function endTurns(thread: number, processor: number): void {
  if (isTakingTurns(thread)) becomeOrdinary(thread);
  if (String(processorsOf(thread)) === String(processor)) setAnyProcessor(thread);
}

function giveSlice(thread: number, lengthUs: number): void {
  try {
    setSlice(thread, getPriority(thread), lengthUs);
  } catch {
    // It has ended.
  }
}
