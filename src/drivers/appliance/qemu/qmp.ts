import type { Socket } from "node:net";
import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { Lines } from "#drivers/messaging/lines.ts";
import { isJson, parseObject } from "./guest-json.ts";
import type { Json } from "./guest-json.ts";
import { connectUnix } from "./unix-path.ts";
import { unhurried } from "./unhurried.ts";
import type { Qmp, QmpEvent } from "./vm.ts";

/** QEMU's answers are small; a lot more than its largest (query-qmp-schema) is no QEMU. */
const lineBytesMax = 4 * 1024 * 1024;
/** Some events come as often as a guest makes them come. */
const linesPerSecondMax = 2000;
/** Far more than any command takes: a QEMU that says nothing for so long hangs, or is none any more. */
const answerMsMax = millis(60_000);

type Waiting = {
  readonly command: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (cause: unknown) => void;
};

/**
 * Connects to a QEMU's monitor socket and leaves its negotiation mode. What is not answered within `limitMs` is refused
 * with `unavailable`; the line stays, as what hangs may have been held from outside.
 * Rejects with `unavailable` when nobody listens or what answers does not speak QMP, or with the signal's reason.
 */
export async function connectQmp(path: string, signal: AbortSignal, limitMs = answerMsMax): Promise<Qmp> {
  const line = new QmpLine(await connectUnix(path, signal), path, limitMs);
  try {
    await line.greeted(signal);
    await line.execute("qmp_capabilities", {}, signal);
    return line;
  } catch (cause) {
    line.close();
    throw cause;
  }
}

class QmpLine implements Qmp {
  readonly #socket: Socket;
  readonly #path: string;
  readonly #limitMs: Millis;
  readonly #lines = new Lines(lineBytesMax);
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #lost = new AbortController();
  readonly #greeting = Promise.withResolvers<void>();
  #last = 0;

  constructor(socket: Socket, path: string, limitMs: Millis) {
    this.#socket = socket;
    this.#path = path;
    this.#limitMs = limitMs;
    this.#greeting.promise.catch(() => {});
    const heard = unhurried(socket, linesPerSecondMax);
    socket.on("data", (chunk: Buffer) => heard(this.#hear(chunk)));
    socket.once("close", () => this.#end());
  }

  get closed(): AbortSignal {
    return this.#lost.signal;
  }

  greeted(signal: AbortSignal): Promise<void> {
    return abortable(this.#greeting.promise, signal);
  }

  execute(command: string, args: Json, signal: AbortSignal): Promise<unknown> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#lost.signal.aborted) return Promise.reject(this.#gone(command));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = ++this.#last;
    this.#waiting.set(id, { command, resolve, reject });
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    const limit = setTimeout(() => reject(this.#silent(command)), this.#limitMs);
    // Its answer may still come; nobody waits for it then.
    return abortable(promise, signal).finally(() => {
      clearTimeout(limit);
      this.#waiting.delete(id);
    });
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  /** With how many lines it was. */
  #hear(chunk: Buffer): number {
    const lines = this.#lines.push(chunk);
    const said = lines === "too long" ? [undefined] : lines.map(parseObject);
    for (const one of said) {
      // What cannot be understood is followed by what cannot be trusted.
      if (one === undefined) this.close();
      else if (!this.#lost.signal.aborted) this.#heard(one);
    }
    return said.length;
  }

  #heard(said: Json): void {
    if (isJson(said["QMP"])) return this.#greeting.resolve();
    if (typeof said["event"] === "string") return this.#tell(eventOf(said["event"], said));
    const waiting = this.#waiting.get(Number(said["id"]));
    if (waiting === undefined) return;
    const { command, resolve, reject } = waiting;
    if ("return" in said) return resolve(said["return"]);
    const error = isJson(said["error"]) ? said["error"] : {};
    const words = typeof error["desc"] === "string" ? error["desc"] : "it answered without a reason";
    reject(
      new ConsortError("driver_failed", `Cannot execute ${command}: ${words}`, {
        details: { command, class: error["class"] },
      }),
    );
  }

  #tell(event: QmpEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #end(): void {
    if (this.#lost.signal.aborted) return;
    const gone = this.#gone("greet");
    this.#lost.abort(gone);
    this.#greeting.reject(gone);
    for (const { command, reject } of this.#waiting.values()) reject(this.#gone(command));
    this.#waiting.clear();
    this.#listeners.clear();
  }

  #silent(command: string): ConsortError {
    return new ConsortError(
      "unavailable",
      `Cannot execute ${command}: QEMU at ${this.#path} does not answer`,
    );
  }

  #gone(command: string): ConsortError {
    return new ConsortError("unavailable", `Cannot execute ${command}: the line to ${this.#path} is lost`);
  }
}

function eventOf(event: string, said: Json): QmpEvent {
  const at = isJson(said["timestamp"]) ? said["timestamp"] : {};
  return {
    event,
    data: isJson(said["data"]) ? said["data"] : {},
    timestampMs: Number(at["seconds"] ?? 0) * 1000 + Number(at["microseconds"] ?? 0) / 1000,
  };
}

/** Resolves or rejects as `work` does, or rejects with the signal's reason when that is first. */
export function abortable<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  if (signal.aborted) {
    work.catch(() => {});
    return Promise.reject(signal.reason);
  }
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  work.then(resolve, reject);
  return promise.finally(() => signal.removeEventListener("abort", abort));
}
