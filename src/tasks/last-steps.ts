import { messageOf } from "#base/errors.ts";

/** Steps of an end, each taken whatever became of those before it. */
export class LastSteps {
  readonly #failures: unknown[] = [];

  async take(step: () => void | Promise<void>): Promise<void> {
    try {
      await step();
    } catch (cause) {
      this.#failures.push(cause);
    }
  }

  /** Throws what failed: the failure itself, or all of them. */
  finish(): void {
    if (this.#failures.length === 0) return;
    if (this.#failures.length === 1) throw this.#failures[0];
    throw new AggregateError(this.#failures, this.#failures.map(messageOf).join("; "));
  }
}
