import { ConsortError } from "#base/errors.ts";

/**
 * For what waits for a program that may hang: its signal aborts with `timeout` once nothing was heard for so long, and as
 * `outer` does. Disposed of when the wait is over.
 */
export class Silence implements Disposable {
  readonly signal: AbortSignal;
  readonly #over = new AbortController();
  readonly #msMax: number;
  readonly #what: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(what: string, msMax: number, outer: AbortSignal) {
    this.#what = what;
    this.#msMax = msMax;
    this.signal = AbortSignal.any([outer, this.#over.signal]);
    this.heard();
  }

  /** It goes on. */
  heard(): void {
    clearTimeout(this.#timer);
    const tooLong = (): void =>
      this.#over.abort(
        new ConsortError("timeout", `Cannot ${this.#what}: nothing was heard for ${this.#msMax / 1000} s`),
      );
    this.#timer = setTimeout(tooLong, this.#msMax);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
