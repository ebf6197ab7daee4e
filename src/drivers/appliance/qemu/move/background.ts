import { messageOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Log } from "#base/runtime.ts";

/** Long work of machines, one at a time for each, that goes on beside the passes that began it. */
export class Background {
  readonly #log: Log;
  readonly #running = new Map<
    ApplianceId,
    { readonly stop: AbortController; readonly done: Promise<void> }
  >();

  constructor(log: Log) {
    this.#log = log;
  }

  isBusy(id: ApplianceId): boolean {
    return this.#running.has(id);
  }

  /** Unless something is under way for it. What it throws is logged: the next pass looks at what is. */
  begin(id: ApplianceId, what: string, work: (signal: AbortSignal) => Promise<void>): void {
    if (this.#running.has(id)) return;
    const stop = new AbortController();
    const done = work(stop.signal)
      .catch((cause: unknown) => {
        if (!stop.signal.aborted) this.#log.warn(`Cannot ${what} ${id}: ${messageOf(cause)}`, { cause });
      })
      .finally(() => this.#running.delete(id));
    this.#running.set(id, { stop, done });
  }

  /** Resolves when it has stopped. */
  async stop(id: ApplianceId): Promise<void> {
    const work = this.#running.get(id);
    work?.stop.abort();
    await work?.done;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((id) => this.stop(id)));
  }
}
