import type { Socket } from "node:net";
import { join } from "node:path";
import { contextLimits } from "#drivers/guest/context/limits.ts";
import { GuestLines, helloMessage } from "#drivers/guest/context/port-protocol.ts";
import type { GuestMessage } from "#drivers/guest/context/port-protocol.ts";
import { socketNames } from "./command/spec.ts";
import { connectUnix } from "./unix-path.ts";
import { unhurried } from "./unhurried.ts";

/**
 * Follows what a guest tells at its context port while its machine runs. Whoever comes first has the port: a guest that
 * is told who it is meanwhile (see warm/context-port.ts) is heard from when that is over. What was told before anybody
 * listened is told again.
 */
export class ContextLine {
  readonly #path: string;
  readonly #heard: (message: GuestMessage) => void;
  #end: AbortController | undefined;

  constructor(directory: string, heard: (message: GuestMessage) => void) {
    this.#path = join(directory, socketNames.context);
    this.#heard = heard;
  }

  /** Harmless when it listens already. A machine without such a port is one that tells nothing. */
  listen(): void {
    if (this.#end !== undefined) return;
    const end = new AbortController();
    this.#end = end;
    connectUnix(this.#path, end.signal).then(
      (socket) => this.#follow(socket, end),
      () => this.#isOver(end),
    );
  }

  hangUp(): void {
    this.#end?.abort();
    this.#end = undefined;
  }

  #follow(socket: Socket, end: AbortController): void {
    const lines = new GuestLines();
    const heard = unhurried(socket, contextLimits.heardBytesPerSecond);
    socket.on("data", (chunk: Buffer) => {
      heard(chunk.length);
      if (end.signal.aborted) return;
      for (const message of lines.push(chunk)) this.#heard(message);
    });
    socket.on("error", () => {});
    socket.once("close", () => this.#isOver(end));
    end.signal.addEventListener("abort", () => socket.destroy());
    if (end.signal.aborted) socket.destroy();
    else socket.write(helloMessage);
  }

  #isOver(end: AbortController): void {
    if (this.#end === end) this.#end = undefined;
  }
}
