import type { Socket } from "node:net";
import { ConsortError } from "#base/errors.ts";
import type { ConsoleLine } from "#drivers/appliance/port.ts";
import { connectUnix } from "./unix-path.ts";

/** As much as is typed ahead of a guest that reads nothing; what comes then is lost, as on any serial line. */
const aheadBytesMax = 64 * 1024;

type Reader = { readonly hear: (chunk: Uint8Array) => void; readonly ended: () => void };

/**
 * A guest's serial line, shared by all who look at it: QEMU takes one caller at a time. What nobody reads is not kept
 * here; it is in the machine's output.
 */
export class GuestConsole {
  readonly #path: string;
  readonly #readers = new Set<Reader>();
  #socket: Promise<Socket> | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Rejects with `unavailable` when the machine does not run. */
  async open(onOutput: (chunk: Uint8Array) => void, signal: AbortSignal): Promise<ConsoleLine> {
    const ended = Promise.withResolvers<void>();
    const reader: Reader = { hear: onOutput, ended: ended.resolve };
    this.#readers.add(reader);
    const leave = (): void => {
      this.#readers.delete(reader);
      ended.resolve();
      if (this.#readers.size === 0) this.close();
    };
    try {
      const socket = await (this.#socket ?? this.#begin());
      signal.throwIfAborted();
      signal.addEventListener("abort", leave, { once: true });
      const write = (chunk: Uint8Array): void => {
        if (socket.writableLength + chunk.length <= aheadBytesMax) socket.write(chunk);
      };
      return { write, ended: ended.promise };
    } catch (cause) {
      leave();
      signal.throwIfAborted();
      throw cause;
    }
  }

  close(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.then(
      (open) => open.destroy(),
      () => {},
    );
  }

  #begin(): Promise<Socket> {
    const socket = this.#connect();
    this.#socket = socket;
    // One that was left may be over only when the next has begun.
    const isOver = (): void => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      for (const { ended } of this.#readers) ended();
      this.#readers.clear();
    };
    socket.then((open) => open.once("close", isOver), isOver);
    return socket;
  }

  async #connect(): Promise<Socket> {
    const socket = await connectUnix(this.#path, new AbortController().signal).catch((cause: unknown) => {
      throw new ConsortError("unavailable", "Cannot open the console: its machine does not run", { cause });
    });
    socket.on("data", (chunk: Buffer) => {
      for (const { hear } of this.#readers) hear(chunk);
    });
    return socket;
  }
}
