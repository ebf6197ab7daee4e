import type { Worker } from "node:worker_threads";
import { ConsortError } from "#base/errors.ts";
import type { MemoryWorkerData, MemoryWorkerMessage } from "./memory.worker.ts";

export type TakenMemory = {
  /** For the next one; see PageTable. */
  readonly table: Uint8Array;
};

/** Reads one migration stream in a thread of its own: hashing all pages of a large guest would hold up the manager. */
export class MemoryTaker implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #waiting: Uint8Array[] = [];
  readonly #listening = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<TakenMemory>();
  #news: (() => void) | undefined;
  #over = false;
  #failure: Error | undefined;

  constructor(data: MemoryWorkerData) {
    this.#done.promise.catch(() => {});
    this.#listening.promise.catch(() => {});
    // Loaded by who takes one: most hosts never do.
    const { Worker: Thread } = process.getBuiltinModule("node:worker_threads");
    this.#worker = new Thread(new URL("./memory.worker.ts", import.meta.url), { workerData: data });
    this.#worker.on("message", (message: MemoryWorkerMessage) => this.#hear(message));
    this.#worker.once("error", (cause) => this.#fail(`its thread failed: ${String(cause)}`));
    this.#worker.once("exit", () => this.#fail("its thread ended"));
  }

  /** QEMU may connect. */
  listening(): Promise<void> {
    return this.#listening.promise;
  }

  done(): Promise<TakenMemory> {
    return this.#done.promise;
  }

  /** What changed, as it comes; to be read once. */
  async *content(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const wake = (): void => this.#news?.();
    signal.addEventListener("abort", wake);
    try {
      for (;;) {
        signal.throwIfAborted();
        const next = this.#waiting.shift();
        if (next !== undefined) {
          const size = next.length;
          yield next;
          this.#worker.postMessage(size, []);
        } else if (this.#failure !== undefined) throw this.#failure;
        else if (this.#over) return;
        else await new Promise<void>((resolve) => (this.#news = resolve));
      }
    } finally {
      signal.removeEventListener("abort", wake);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }

  /** Why it cannot be taken, should QEMU have heard of that first. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  #hear(message: MemoryWorkerMessage): void {
    if (message.kind === "listening") this.#listening.resolve();
    else if (message.kind === "chunk") this.#waiting.push(message.bytes);
    else if (message.kind === "failed") this.#fail(message.message);
    else {
      this.#over = true;
      this.#done.resolve({ table: message.table });
    }
    this.#news?.();
  }

  #fail(why: string): void {
    if (this.#over || this.#failure !== undefined) return;
    this.#failure = new ConsortError("driver_failed", `Cannot take a machine's memory: ${why}`);
    this.#listening.reject(this.#failure);
    this.#done.reject(this.#failure);
    this.#news?.();
  }
}
