import { ConsortError } from "#base/errors.ts";
import { EventHeap } from "#sim/kernel/event-heap.ts";
import type { Scheduled } from "#sim/kernel/event-heap.ts";
import { markOf, Trace } from "#sim/kernel/trace.ts";
import { repeatWhenQuiet } from "#sim/kernel/when-quiet.ts";

/**
 * Time that passes only from event to event.
 *
 *   pop the earliest ──► time jumps to it ──► it runs ──► all that follows from it settles ──► listeners look ──► again
 *
 * One event at a time: whatever ends between two events, a process or a disk, ends at a moment of its own.
 */
export class VirtualTime {
  readonly trace: Trace;
  readonly #heap = new EventHeap();
  readonly #listeners: ((event: Scheduled) => void)[] = [];
  /** To be called once what is happening has settled. */
  #whenSettled: (() => void)[] = [];
  #now = 0;
  #sequence = 0;
  #current: Scheduled | undefined;
  #running = false;

  constructor(traceLinesKept: number) {
    this.trace = new Trace(traceLinesKept);
  }

  /** Ms since the beginning of the run. */
  get nowMs(): number {
    return this.#now;
  }

  /** A moment that has passed already means now. `processMark`: what markOf(process) is, if it is known. */
  schedule(
    atMs: number,
    process: string | undefined,
    label: string,
    run: () => void,
    processMark = process === undefined ? 0 : markOf(process),
  ): Scheduled {
    this.#sequence += 1;
    const event: Scheduled = {
      atMs: atMs > this.#now ? atMs : this.#now,
      sequence: this.#sequence,
      process,
      processMark,
      label,
      run,
    };
    this.#heap.push(event);
    return event;
  }

  cancel(event: Scheduled): void {
    event.run = undefined;
  }

  /** Tells the trace something about the event that is happening. */
  note(text: string): void {
    this.trace.note(this.#current?.sequence ?? 0, text);
  }

  /** Calls that once when what is happening has settled, before the listeners look. What it throws ends the run. */
  whenSettled(check: () => void): void {
    this.#whenSettled.push(check);
  }

  /** Called after every event when it has settled. What it throws ends the run. */
  onEvent(listener: (event: Scheduled) => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Runs until that moment, or until `isDone`, asked after every event, says so; returns what it said last.
   * @throws whatever an event or a listener throws; `internal` when nothing is left to happen.
   */
  async run(untilMs: number, isDone: () => boolean = () => false): Promise<boolean> {
    if (this.#running) {
      throw new ConsortError("internal", "Cannot run the simulation: it runs already, wait for that first");
    }
    this.#running = true;
    let done = false;
    try {
      await repeatWhenQuiet(() => {
        this.#look();
        done = isDone();
        if (done) return false;
        const next = this.#heap.peek();
        if (next === undefined && untilMs === Number.POSITIVE_INFINITY) {
          throw new ConsortError("internal", "Cannot go on: nothing is left to happen");
        }
        if (next === undefined || next.atMs > untilMs) {
          this.#now = Math.max(this.#now, untilMs);
          return false;
        }
        this.#take(next);
        return true;
      });
    } finally {
      this.#running = false;
    }
    return done;
  }

  #look(): void {
    const event = this.#current;
    if (event === undefined) return;
    if (this.#whenSettled.length > 0) {
      const checks = this.#whenSettled;
      this.#whenSettled = [];
      for (const check of checks) check();
    }
    for (const listener of this.#listeners) listener(event);
    this.#current = undefined;
  }

  #take(event: Scheduled): void {
    this.#heap.pop();
    this.#now = event.atMs;
    this.#current = event;
    this.trace.add(event);
    const { run } = event;
    event.run = undefined;
    run?.();
  }
}
