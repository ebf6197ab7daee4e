import { rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { Silence } from "./silence.ts";
import { setCapabilities } from "./turns.ts";
import type { MigrationCapability } from "./turns.ts";
import { connectUnix } from "./unix-path.ts";
import type { Qmp, RunningVm } from "./vm.ts";

/** A QEMU that takes no more of a machine's state for so long has failed: it may be held itself, and go on after that. */
export const stateSilenceMsMax = 60_000;

/**
 * Gives a QEMU that waits for one (`-incoming defer`) a machine's state; `name` is that of a socket in its directory.
 * Resolves when it has read all of it, and waits to be continued. Rejects with `driver_failed` when it could not, and
 * with `timeout` when it does not get there.
 */
export async function giveState(
  vm: Pick<RunningVm, "qmp" | "directory" | "inside">,
  state: Uint8Array,
  options: {
    readonly name: string;
    readonly capabilities: readonly MigrationCapability[];
    readonly silenceMsMax?: number;
  },
  signal: AbortSignal,
): Promise<void> {
  const file = join(vm.directory, options.name);
  await rm(file, { force: true });
  using silence = new Silence(
    "hand over a machine's state",
    options.silenceMsMax ?? stateSilenceMsMax,
    signal,
  );
  await setCapabilities(vm.qmp, [...options.capabilities, "events"], silence.signal);
  const arrived = migrationEnd(vm.qmp, silence.signal);
  let socket: Socket | undefined;
  try {
    const uri = `unix:${join(vm.inside, options.name)}`;
    await vm.qmp.execute("migrate-incoming", { uri }, silence.signal);
    socket = await connectUnix(file, silence.signal);
    socket.end(state);
    socket.resume();
    await arrived.done;
  } finally {
    socket?.destroy();
    arrived.stop();
    await rm(file, { force: true });
  }
}

/** done: the migration that is begun next has ended well; rejects with `driver_failed` when it has not. */
export function migrationEnd(qmp: Qmp, signal: AbortSignal): { readonly done: Promise<void>; stop(): void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => {});
  const failed = (why: string): void =>
    reject(new ConsortError("driver_failed", `Cannot hand over a machine's state: ${why}`));
  const ends = qmp.onEvent(({ event, data }) => {
    if (event !== "MIGRATION") return;
    if (data["status"] === "completed") resolve();
    if (data["status"] === "failed") failed("QEMU gave up");
  });
  const abort = (): void => reject(signal.reason);
  const lost = (): void => failed("its QEMU ended");
  signal.addEventListener("abort", abort, { once: true });
  qmp.closed.addEventListener("abort", lost, { once: true });
  return {
    done: promise,
    stop() {
      ends();
      signal.removeEventListener("abort", abort);
      qmp.closed.removeEventListener("abort", lost);
    },
  };
}
