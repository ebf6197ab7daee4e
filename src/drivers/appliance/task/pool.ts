import { messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Slot } from "#drivers/appliance/task/slot.ts";

/** Refilling waits until nothing was taken for this long, so as not to be in the way of what was. */
const quietMs = millis(100);
/** After a failure, which would most likely follow again at once. */
const failurePauseMs = millis(5_000);

/** Machines made in advance on the host's own root, waiting for a command. */
export class SlotPool {
  readonly #size: number;
  readonly #make: () => Promise<Slot>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #ready: Slot[] = [];
  #lastTaken = millis(0);
  #filling: Promise<void> | undefined;

  constructor(parts: { size: number; make: () => Promise<Slot>; clock: Clock; log: Log }) {
    this.#size = parts.size;
    this.#make = parts.make;
    this.#clock = parts.clock;
    this.#log = parts.log;
  }

  take(): Slot | undefined {
    this.#lastTaken = this.#clock.monotonic();
    return this.#ready.shift();
  }

  /** A parked machine died by itself. */
  drop(slot: Slot): boolean {
    const at = this.#ready.indexOf(slot);
    if (at >= 0) this.#ready.splice(at, 1);
    return at >= 0;
  }

  /** In the background, until `signal` aborts. */
  refill(signal: AbortSignal): void {
    this.#filling ??= this.#fill(signal).finally(() => {
      this.#filling = undefined;
    });
  }

  /** Resolves when no refilling is under way. */
  async settled(): Promise<void> {
    await this.#filling;
  }

  async #fill(signal: AbortSignal): Promise<void> {
    try {
      while (this.#ready.length < this.#size) {
        const quietFor = this.#clock.monotonic() - this.#lastTaken;
        if (quietFor < quietMs) {
          await this.#clock.sleep(millis(quietMs - quietFor), signal);
          continue;
        }
        signal.throwIfAborted();
        try {
          this.#ready.push(await this.#make());
        } catch (cause) {
          this.#log.warn(`Cannot prepare a task slot: ${messageOf(cause)}`, { cause });
          await this.#clock.sleep(failurePauseMs, signal);
        }
      }
    } catch (cause) {
      if (!signal.aborted) throw cause;
    }
  }
}
