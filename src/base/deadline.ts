import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";

/** Work that must end within `limit`: its signal aborts then, with `timeout`, or when the caller's does. */
export async function withDeadline<Result>(
  clock: Clock,
  limit: Millis,
  work: (signal: AbortSignal) => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  signal.throwIfAborted();
  const inner = new AbortController();
  const pass = (): void => inner.abort(signal.reason);
  signal.addEventListener("abort", pass, { once: true });
  const callOff = clock.timer(limit, () => inner.abort(tooLate(limit)));
  try {
    return await work(inner.signal);
  } finally {
    signal.removeEventListener("abort", pass);
    callOff();
  }
}

/**
 * The same for work that is done again and again, one after the other, and leaves nothing behind that listens to its
 * signal: the signal is the same until it aborts. Making one every time can cost more than the work.
 */
export class RepeatedDeadline {
  readonly #clock: Clock;
  #inner = new AbortController();
  #outer: AbortSignal | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async run<Result>(
    limit: Millis,
    work: (signal: AbortSignal) => Promise<Result>,
    signal: AbortSignal,
  ): Promise<Result> {
    signal.throwIfAborted();
    if (this.#inner.signal.aborted) this.#inner = new AbortController();
    const inner = this.#inner;
    this.#listenTo(signal);
    const callOff = this.#clock.timer(limit, () => inner.abort(tooLate(limit)));
    try {
      return await work(inner.signal);
    } finally {
      callOff();
    }
  }

  #listenTo(signal: AbortSignal): void {
    if (this.#outer === signal) return;
    this.#outer?.removeEventListener("abort", this.#pass);
    this.#outer = signal;
    signal.addEventListener("abort", this.#pass, { once: true });
  }

  readonly #pass = (): void => this.#inner.abort(this.#outer?.reason);
}

const tooLate = (limit: Millis): ConsortError => new ConsortError("timeout", `Not done within ${limit} ms`);
