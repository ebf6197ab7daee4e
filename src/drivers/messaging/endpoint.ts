import { codeOf, ConsortError, messageOf } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import type { Frame } from "#drivers/messaging/frames.ts";
import type { IncomingRequest, Messaging, Presence } from "#drivers/messaging/port.ts";

type Handler = (request: IncomingRequest, signal: AbortSignal) => Promise<unknown>;
type Listener = (from: string, body: unknown) => void;
type Pending = { readonly to: string; settle(outcome: Frame | ConsortError): void };

/** How frames leave: `send` throws a coded error when one cannot; `close` is called once. */
export type Line = { send(frame: Frame): void; close(): Promise<void> };

/** One end of a bus without its transport: matches replies to requests, runs handlers, knows who is there. */
export class Endpoint implements Messaging {
  readonly address: string;
  readonly #line: Line;
  readonly #log: Log;
  readonly #present = new Set<string>();
  readonly #pending = new Map<number, Pending>();
  readonly #handlers = new Map<string, Handler>();
  /** Requests being answered: "<from> <id>" → what stops it. */
  readonly #answering = new Map<string, AbortController>();
  readonly #rooms = new Map<string, Set<Listener>>();
  readonly #presenceListeners = new Set<(change: Presence) => void>();
  #lastId = 0;
  #closed = false;

  constructor(options: { address: string; line: Line; log: Log }) {
    this.address = options.address;
    this.#line = options.line;
    this.#log = options.log.with({ bus: options.address });
  }

  request(to: string, topic: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      if (this.#closed) throw new ConsortError("unavailable", `Cannot ask ${to}: this end is closed`);
      if (!this.#present.has(to)) throw unreachable(to);
      this.#lastId += 1;
      const id = this.#lastId;
      const ids = { from: this.address, to, id };
      // A body JSON cannot say would arrive as none at all.
      this.#line.send({ kind: "request", ...ids, topic, body: body ?? null });
      const giveUp = (): void => {
        this.#pending.delete(id);
        reject(signal.reason);
        this.#trySend({ kind: "cancel", ...ids });
      };
      this.#pending.set(id, {
        to,
        settle: (outcome) => {
          this.#pending.delete(id);
          signal.removeEventListener("abort", giveUp);
          if (outcome instanceof ConsortError) reject(outcome);
          else if (outcome.kind === "reply") resolve(outcome.body);
          else if (outcome.kind === "failure") reject(new ConsortError(outcome.code, outcome.message));
        },
      });
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  answer(topic: string, handler: Handler): void {
    this.#handlers.set(topic, handler);
  }

  publish(room: string, body: unknown): void {
    if (!this.#closed) this.#trySend({ kind: "publish", from: this.address, room, body: body ?? null });
  }

  subscribe(room: string, listener: Listener): () => void {
    const listeners = this.#rooms.get(room) ?? new Set();
    if (listeners.size === 0) this.#trySend({ kind: "subscribe", room });
    listeners.add(listener);
    this.#rooms.set(room, listeners);
    return () => {
      if (!listeners.delete(listener) || listeners.size > 0) return;
      this.#rooms.delete(room);
      this.#trySend({ kind: "unsubscribe", room });
    };
  }

  present(): readonly string[] {
    return [...this.#present].sort();
  }

  isPresent(address: string): boolean {
    return this.#present.has(address);
  }

  onPresence(listener: (change: Presence) => void): void {
    this.#presenceListeners.add(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.disconnected();
    await this.#line.close();
  }

  /** The transport is gone: nobody is there, nothing asked will be answered. */
  disconnected(): void {
    for (const address of this.present()) this.#setPresent(address, false);
  }

  receive(frame: Frame): void {
    switch (frame.kind) {
      case "welcome":
        for (const room of this.#rooms.keys()) this.#trySend({ kind: "subscribe", room });
        for (const address of frame.present) this.#setPresent(address, true);
        return;
      case "presence":
        return this.#setPresent(frame.address, frame.present);
      case "request":
        void this.#answer(frame);
        return;
      case "reply":
      case "failure": {
        const pending = this.#pending.get(frame.id);
        if (pending?.to === frame.from) pending.settle(frame);
        return;
      }
      case "cancel":
        this.#answering.get(`${frame.from} ${frame.id}`)?.abort(cancelled(frame.from));
        return;
      case "publish":
        for (const listener of this.#rooms.get(frame.room) ?? []) {
          this.#guard("A listener of a room failed", () => listener(frame.from, frame.body));
        }
        return;
      case "refused":
        this.#log.warn(`The bus closed this connection: ${frame.message}`);
        return;
      case "hello":
      case "subscribe":
      case "unsubscribe":
        this.#log.warn("Ignored a message only a bus understands", { kind: frame.kind });
        return;
      default:
        frame satisfies never;
    }
  }

  async #answer(frame: Extract<Frame, { kind: "request" }>): Promise<void> {
    const { from, id, topic, body } = frame;
    const ids = { from: this.address, to: from, id };
    const key = `${from} ${id}`;
    const stop = new AbortController();
    this.#answering.set(key, stop);
    try {
      const handler = this.#handlers.get(topic);
      if (handler === undefined) {
        throw new ConsortError(
          "unavailable",
          `Cannot ask ${this.address} for "${topic}": it does not answer that`,
        );
      }
      const answer = await handler({ from, topic, body }, stop.signal);
      if (!stop.signal.aborted) this.#line.send({ kind: "reply", ...ids, body: answer ?? null });
    } catch (error) {
      if (stop.signal.aborted) return;
      const code = codeOf(error);
      if (code === "internal") this.#log.error(`Cannot answer "${topic}"`, { from, error });
      this.#trySend({ kind: "failure", ...ids, code, message: messageOf(error) });
    } finally {
      if (this.#answering.get(key) === stop) this.#answering.delete(key);
    }
  }

  #setPresent(address: string, present: boolean): void {
    if (address === this.address || this.#present.has(address) === present) return;
    if (present) this.#present.add(address);
    else this.#forget(address);
    for (const listener of this.#presenceListeners) {
      this.#guard("A listener of presence failed", () => listener({ address, present }));
    }
  }

  /** Nothing is owed to it, nor expected from it, any more. */
  #forget(address: string): void {
    this.#present.delete(address);
    for (const pending of this.#pending.values()) {
      if (pending.to === address) pending.settle(unreachable(address));
    }
    for (const [key, stop] of this.#answering) {
      if (key.startsWith(`${address} `)) stop.abort(cancelled(address));
    }
  }

  #trySend(frame: Frame): void {
    this.#guard("Cannot send a message", () => this.#line.send(frame));
  }

  #guard(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#log.warn(what, { error });
    }
  }
}

const unreachable = (to: string): ConsortError =>
  new ConsortError("unavailable", `Cannot reach ${to}: it is not connected`);
const cancelled = (by: string): ConsortError => new ConsortError("cancelled", `${by} does not wait any more`);
