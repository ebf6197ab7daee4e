import { ConsortError, codeOf, messageOf } from "#base/errors.ts";
import { apiLimits } from "#api/limits.ts";
import { OutputQueue } from "#api/output-queue.ts";

/**
 * An answer of one JSON object a line, written as things happen. What a reader does not take as fast as it comes ends
 * the work behind it; and as the status is sent once the first line is, a failure after that becomes the last line.
 */
export class JsonLines<Line> {
  readonly #queue = new OutputQueue(apiLimits.execBacklogBytesMax);
  readonly #overrun = new AbortController();

  /** For the work: ends with the caller's, and when the reader is too slow. */
  signal(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#overrun.signal]);
  }

  push(line: Line): void {
    if (this.#queue.push(textOf(line))) return;
    const error = new ConsortError("limit_exceeded", "Cannot go on: output is not read as fast as it comes");
    this.#queue.fail(error);
    this.#overrun.abort(error);
  }

  /** The stream ends with what the work resolves with, or with why it failed. */
  endWith(work: Promise<Line>): void {
    work.then(
      (last) => {
        this.#queue.push(textOf(last));
        return this.#queue.end();
      },
      (error: unknown) => this.#queue.fail(error),
    );
  }

  /** Rejects with what failed before there was a first line. */
  async begun(): Promise<AsyncGenerator<string>> {
    await this.#queue.begun();
    return this.#withFailureLine();
  }

  async *#withFailureLine(): AsyncGenerator<string> {
    try {
      yield* this.#queue;
    } catch (error) {
      const code = codeOf(error);
      const message = code === "internal" ? "Cannot go on: see the manager's log" : messageOf(error);
      yield textOf({ error: { code, message } });
    }
  }
}

const textOf = (line: unknown): string => `${JSON.stringify(line)}\n`;
