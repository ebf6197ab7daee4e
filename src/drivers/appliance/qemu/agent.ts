import type { Socket } from "node:net";
import { ConsortError } from "#base/errors.ts";
import { withDeadline } from "#base/deadline.ts";
import { InTurn } from "#base/in-turn.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { Lines } from "#drivers/messaging/lines.ts";
import { hasFewParts, isJson, parseObject } from "./guest-json.ts";
import type { Json } from "./guest-json.ts";
import { plainWords } from "./plain-words.ts";
import { abortable } from "./qmp.ts";
import { connectUnix } from "./unix-path.ts";
import type { GuestAgent } from "./vm.ts";

/** The agent gives a program's whole output in one line, in base64: 16 MiB of it at most. */
const outputBytesMax = 24 * 1024 * 1024;
/** Any other answer, of as many processors as a machine may have. */
const answerBytesMax = 256 * 1024;
/** Before it is known to have heard us, the rest of a program's output may come first. */
const mayBeLong: ReadonlySet<string> = new Set(["guest-exec-status", "guest-sync"]);
/** What is not the answer, but may be passed over: more of it is meant to keep us busy. */
const linesMax = 256;
const answerMsMax = millis(10_000);
/** Between two looks whether it answers. */
export const agentLookMs = millis(5_000);
/** Ends what an agent has half read. */
const delimiter = 0xff;

type Line = { readonly socket: Socket; readonly heard: (said: Json) => void };
type Question = { readonly execute: string; readonly arguments: Json };

/**
 * QEMU's guest agent behind a virtio-serial port. One question at a time; after one that was not answered, or answered
 * with anything but an answer, the line begins anew. Whatever it says is the guest's word and no more.
 */
export class PortAgent implements GuestAgent {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #turns = new InTurn();
  #line: Line | undefined;
  #waiting: ((said: Json) => void) | undefined;
  #syncs = 0;
  /** Since the last question. */
  #linesHeard = 0;
  #heardAt: Millis | undefined;
  #asked = false;
  #closed = false;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
  }

  execute(command: string, args: Json, signal: AbortSignal): Promise<unknown> {
    return abortable(
      this.#turns.run(() => this.#ask(command, args, signal)),
      signal,
    );
  }

  answers(): boolean {
    if (this.#heardAt === undefined) return false;
    return this.#clock.monotonic() - this.#heardAt < agentLookMs * 3;
  }

  /** It was there once, or somebody asked it something. */
  get expected(): boolean {
    return this.#heardAt !== undefined || this.#asked;
  }

  /** It answered since its machine began. */
  get answered(): boolean {
    return this.#heardAt !== undefined;
  }

  /** Its machine begins anew. */
  forget(): void {
    this.hangUp();
    this.#heardAt = undefined;
    this.#asked = false;
  }

  hangUp(): void {
    this.#line?.socket.destroy();
    this.#line = undefined;
  }

  close(): void {
    this.#closed = true;
    this.hangUp();
  }

  async #ask(command: string, args: Json, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    this.#asked = true;
    try {
      const answer = await withDeadline(
        this.#clock,
        answerMsMax,
        async (deadline) => {
          const line = this.#line ?? (await this.#begin(deadline));
          return this.#exchange(line, { execute: command, arguments: args }, () => true, deadline);
        },
        signal,
      );
      this.#heardAt = this.#clock.monotonic();
      return this.#result(command, answer);
    } catch (cause) {
      if (cause instanceof ConsortError && cause.code === "driver_failed") throw cause;
      // What it answers later must not be taken for the answer to something else.
      this.hangUp();
      signal.throwIfAborted();
      throw new ConsortError("unavailable", `Cannot ask the guest's agent (${command}): it does not answer`, {
        cause,
      });
    }
  }

  #result(command: string, answer: Json): unknown {
    if ("return" in answer) return answer["return"];
    const error = isJson(answer["error"]) ? answer["error"] : {};
    const words = typeof error["desc"] === "string" ? plainWords(error["desc"], 400) : "no reason given";
    throw new ConsortError("driver_failed", `Cannot ask the guest's agent (${command}): ${words}`);
  }

  /** Connected, and what was said before is known to be over. */
  async #begin(signal: AbortSignal): Promise<Line> {
    const socket = await connectUnix(this.#path, signal);
    if (this.#closed) socket.destroy();
    const lines = new Lines(outputBytesMax);
    const line: Line = { socket, heard: (said) => this.#waiting?.(said) };
    // A guest that talks without end is listened to only for as long as an answer is waited for.
    socket.pause();
    socket.on("data", (chunk: Buffer) => {
      const whole = lines.push(chunk);
      if (whole === "too long" || (this.#linesHeard += whole.length) > linesMax) socket.destroy();
      else for (const text of whole) hear(line, text);
    });
    socket.once("close", () => {
      if (this.#line === line) this.#line = undefined;
    });
    this.#line = line;
    const id = ++this.#syncs;
    socket.write(Buffer.from([delimiter]));
    const sync = { execute: "guest-sync", arguments: { id } };
    await this.#exchange(line, sync, (said) => said["return"] === id, signal);
    return line;
  }

  async #exchange(
    { socket }: Line,
    question: Question,
    isAnswer: (said: Json) => boolean,
    signal: AbortSignal,
  ): Promise<Json> {
    const { promise, resolve, reject } = Promise.withResolvers<Json>();
    this.#waiting = (said) => {
      if (isAnswer(said)) resolve(said);
    };
    const lost = (): void => reject(new Error("the line is lost"));
    socket.once("close", lost);
    if (socket.destroyed) lost();
    this.#linesHeard = 0;
    const before = socket.bytesRead;
    const bytesMax = mayBeLong.has(question.execute) ? outputBytesMax : answerBytesMax;
    const measure = (): void => {
      if (socket.bytesRead - before > bytesMax) socket.destroy();
    };
    socket.on("data", measure);
    socket.resume();
    socket.write(`${JSON.stringify(question)}\n`);
    try {
      return await abortable(promise, signal);
    } finally {
      socket.pause();
      socket.off("data", measure);
      this.#waiting = undefined;
      socket.off("close", lost);
    }
  }
}

/** Half a line from before, or nonsense, is passed over. */
function hear({ socket, heard }: Line, text: string): void {
  if (!hasFewParts(text)) return void socket.destroy();
  const said = parseObject(text.replace(/^\ufffd+/, ""));
  if (said !== undefined) heard(said);
}
