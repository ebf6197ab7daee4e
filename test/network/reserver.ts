import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { TestHost } from "./fabric.ts";
import type { ReservationAnswer, ReservationRequest } from "./reservation-process.ts";

const program = new URL("reservation-process.ts", import.meta.url).pathname;

/** A process in a host's namespace that holds reservations on an interface of it. */
export class Reserver {
  readonly #process: ChildProcess;

  constructor(host: TestHost) {
    this.#process = spawn("ip", ["netns", "exec", host.namespace, process.execPath, program], {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  /** How long it took there, in ms. */
  async ask(request: ReservationRequest): Promise<number> {
    this.#process.send(request);
    const [answer] = (await once(this.#process, "message")) as [ReservationAnswer];
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.tookMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, "exit");
  }
}
