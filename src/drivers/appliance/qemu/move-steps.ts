import { withDeadline } from "#base/deadline.ts";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import { abortable } from "./qmp.ts";

/** A step that takes longer goes on by itself; one that has not ended by then is cut off, and taken again. */
const waitMs = 2_000;
const stepMsMax = millis(60_000);

/** Steps of machines' moves, one at a time for each: a QEMU that does not answer holds up nobody but itself. */
export class MoveSteps {
  readonly #clock: Clock;
  readonly #onLate: () => void;
  readonly #under = new Map<ApplianceId, Promise<void>>();

  /** `onLate`: one has ended that nobody waited for any more. */
  constructor(clock: Clock, onLate: () => void) {
    this.#clock = clock;
    this.#onLate = onLate;
  }

  /** Rejects with `unavailable` while one is under way. */
  check(id: ApplianceId): void {
    if (this.#under.has(id)) throw stillAtIt(id);
  }

  /** Waits for it, but not for long. `closing`: of its machine. */
  async take(
    id: ApplianceId,
    work: (signal: AbortSignal) => Promise<void>,
    closing: AbortSignal,
    signal: AbortSignal,
  ): Promise<void> {
    const step = withDeadline(this.#clock, stepMsMax, work, closing);
    this.#under.set(id, step);
    const limit = AbortSignal.timeout(waitMs);
    const over = (): void => {
      this.#under.delete(id);
      if (limit.aborted) this.#onLate();
    };
    step.then(over, over);
    try {
      await abortable(step, AbortSignal.any([signal, limit]));
    } catch (cause) {
      throw limit.aborted && !signal.aborted ? stillAtIt(id) : cause;
    }
  }

  /** Resolves when none is under way, of one or of all. */
  async settled(id?: ApplianceId): Promise<void> {
    const steps = [...this.#under].filter(([one]) => id === undefined || one === id);
    await Promise.allSettled(steps.map(([, step]) => step));
  }
}

const stillAtIt = (id: ApplianceId): ConsortError =>
  new ConsortError("unavailable", `Cannot take the next step of the move of ${id} yet: one is under way`);
