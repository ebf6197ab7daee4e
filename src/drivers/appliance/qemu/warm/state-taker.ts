import { chmodSync, closeSync, constants, openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { migrationEnd } from "../incoming.ts";
import { abortable } from "../qmp.ts";
import { oneAtATime, setCapabilities } from "../turns.ts";
import type { RunningVm } from "../vm.ts";

const socketName = "warm-out";
/** Of a machine without its memory: some hundred kilobytes. More is no such state. */
const stateBytesMax = 64 * 1024 * 1024;

/**
 * The state of all devices of a machine, which is stopped and stays so; its memory is in the file that it shares.
 * Rejects with `driver_failed` when QEMU cannot, `limit_exceeded` when it tells without end.
 */
export function takeState(
  vm: Pick<RunningVm, "qmp" | "directory" | "inside">,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return oneAtATime(vm.qmp, async () => {
    await vm.qmp.execute("stop", {}, signal);
    await setCapabilities(vm.qmp, ["events", "x-ignore-shared"], signal);
    await using taker = await StateTaker.listening(vm.directory);
    const sent = migrationEnd(vm.qmp, signal);
    try {
      await vm.qmp.execute("migrate", { uri: `unix:${join(vm.inside, socketName)}` }, signal);
      const [state] = await Promise.all([abortable(taker.state, signal), sent.done]);
      return state;
    } finally {
      sent.stop();
    }
  });
}

/** Takes one connection, and all that comes through it. */
class StateTaker implements AsyncDisposable {
  readonly state: Promise<Uint8Array>;
  readonly #close: () => void;

  private constructor(state: Promise<Uint8Array>, close: () => void) {
    this.state = state;
    this.#close = close;
    state.catch(() => {});
  }

  static async listening(directory: string): Promise<StateTaker> {
    rmSync(join(directory, socketName), { recursive: true, force: true });
    // By way of the open directory: a socket's path may be short only.
    const place = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    const path = `/proc/self/fd/${place}/${socketName}`;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const server = createServer((socket) => {
      server.close();
      const chunks: Buffer[] = [];
      let size = 0;
      socket.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size <= stateBytesMax) return;
        socket.destroy();
        reject(new ConsortError("limit_exceeded", "Cannot take a machine's state: it has no end"));
      });
      socket.once("end", () => resolve(Buffer.concat(chunks)));
      socket.once("error", reject);
    });
    server.once("error", reject);
    server.listen(path);
    await once(server, "listening");
    // The user of its slot connects.
    chmodSync(path, 0o666);
    return new StateTaker(promise, () => {
      server.close();
      closeSync(place);
      rmSync(join(directory, socketName), { force: true });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    return Promise.resolve();
  }
}
