import { ConsortError } from "#base/errors.ts";

/**
 * Lines from a writer that cannot wait to a reader that can. `push` returns false when more than `bytesMax` wait.
 * Iteration ends after `end`, or throws after `fail`, once all lines are read.
 */
export class OutputQueue implements AsyncIterable<string> {
  readonly #bytesMax: number;
  #lines: string[] = [];
  #bytes = 0;
  #ended: { error?: unknown } | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  push(line: string): boolean {
    if (this.#ended !== undefined) return true;
    this.#bytes += line.length;
    if (this.#bytes > this.#bytesMax) return false;
    this.#lines.push(line);
    this.#wake.resolve();
    return true;
  }

  end(): void {
    this.#ended ??= {};
    this.#wake.resolve();
  }

  fail(error: unknown): void {
    this.#ended ??= { error };
    this.#wake.resolve();
  }

  /** Resolves when there is a line or an end. Rejects when it failed before any line. */
  async begun(): Promise<void> {
    if (this.#lines.length === 0 && this.#ended === undefined) await this.#wake.promise;
    if (this.#lines.length === 0) this.#throwIfFailed();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (;;) {
      const lines = this.#lines;
      this.#lines = [];
      this.#bytes = 0;
      for (const line of lines) yield line;
      if (this.#lines.length > 0) continue;
      if (this.#ended !== undefined) {
        this.#throwIfFailed();
        return;
      }
      this.#wake = Promise.withResolvers<void>();
      await this.#wake.promise;
    }
  }

  #throwIfFailed(): void {
    if (this.#ended === undefined || !("error" in this.#ended)) return;
    const { error } = this.#ended;
    throw error instanceof Error ? error : new ConsortError("internal", "Cannot go on", { cause: error });
  }
}
