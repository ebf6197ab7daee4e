import type { Log } from "#base/runtime.ts";
import { messageOf } from "#base/errors.ts";

/** What goes on after a call has returned, until all of it is waited for at the end. */
export class Background {
  readonly signal: AbortSignal;
  readonly #running = new Set<Promise<void>>();
  readonly #log: Log;

  constructor(log: Log, signal: AbortSignal) {
    this.#log = log;
    this.signal = signal;
  }

  add(work: Promise<unknown>): void {
    const watched: Promise<void> = work
      .then(
        () => undefined,
        (cause: unknown) => this.#log.warn(messageOf(cause), { cause }),
      )
      .finally(() => this.#running.delete(watched));
    this.#running.add(watched);
  }

  /** The same for what may go on for as long as it likes: nobody waits for it. */
  observe(work: Promise<unknown>): void {
    work.catch((cause: unknown) => this.#log.warn(messageOf(cause), { cause }));
  }

  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
