import type { Socket } from "node:net";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { contextMessage, GuestLines } from "#drivers/guest/context/port-protocol.ts";
import type { GuestContext } from "#drivers/guest/context/content.ts";
import { contextLimits } from "#drivers/guest/context/limits.ts";
import type { GuestMessage } from "#drivers/guest/context/port-protocol.ts";
import { socketNames } from "../command/spec.ts";
import { abortable } from "../qmp.ts";
import { connectUnix } from "../unix-path.ts";
import { unhurried } from "../unhurried.ts";

/** Guests take a context within half a second, many at once on a busy host within many; one that has not by then never will. */
const answerMsMax = 90_000;
/** One is wanted for each context; what a guest tells beside that is not kept for ever. */
const answersKeptMax = 16;

type Answer = Extract<GuestMessage, { readonly instance: string }>;
const isAnswer = (message: GuestMessage): message is Answer =>
  message.kind === "applied" || message.kind === "failed";

/** The host's end of the port at which a guest is told who it is. */
export class ContextPort implements Disposable {
  readonly #socket: Socket;
  readonly #heard: Answer[] = [];
  readonly #ended = new AbortController();
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const lines = new GuestLines();
    const heard = unhurried(socket, contextLimits.heardBytesPerSecond);
    socket.on("data", (chunk: Buffer) => {
      heard(chunk.length);
      for (const message of lines.push(chunk))
        if (this.#heard.length < answersKeptMax && isAnswer(message)) this.#heard.push(message);
      this.#wake?.();
    });
    socket.once("close", () => {
      this.#ended.abort(new ConsortError("unavailable", "Cannot tell a guest who it is: the line is lost"));
    });
  }

  static async open(directory: string, signal: AbortSignal): Promise<ContextPort> {
    return new ContextPort(await connectUnix(join(directory, socketNames.context), signal));
  }

  /** Resolves when the guest is what the context says. Rejects with `driver_failed` when it says it could not, or says nothing. */
  async tell(context: GuestContext, signal: AbortSignal): Promise<void> {
    this.#socket.write(contextMessage(context));
    const answer = await this.answer(signal);
    if (answer.kind === "applied" && answer.instance === context.instance) return;
    throw new ConsortError("driver_failed", "Cannot tell a guest who it is: it could not take that on");
  }

  /** The next thing it tells of a context. */
  async answer(signal: AbortSignal): Promise<Answer> {
    const silent = AbortSignal.timeout(answerMsMax);
    const limit = AbortSignal.any([signal, silent, this.#ended.signal]);
    try {
      for (;;) {
        const next = this.#heard.shift();
        if (next !== undefined) return next;
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await abortable(promise, limit);
      }
    } catch (cause) {
      signal.throwIfAborted();
      if (!silent.aborted) throw cause;
      throw new ConsortError("driver_failed", "Cannot tell a guest who it is: it does not answer", { cause });
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}
