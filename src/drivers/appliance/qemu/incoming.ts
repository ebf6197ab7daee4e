import { rm } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { setCapabilities } from "./turns.ts";
import type { MigrationCapability } from "./turns.ts";
import { connectUnix } from "./unix-path.ts";
import type { Qmp, RunningVm } from "./vm.ts";

/**
 * Gives a QEMU that waits for one (`-incoming defer`) a machine's state; `name` is that of a socket in its directory.
 * Resolves when it has read all of it, and waits to be continued. Rejects with `driver_failed` when it could not.
 */
export async function giveState(
  vm: Pick<RunningVm, "qmp" | "directory" | "inside">,
  state: Uint8Array,
  options: { readonly name: string; readonly capabilities: readonly MigrationCapability[] },
  signal: AbortSignal,
): Promise<void> {
  const file = join(vm.directory, options.name);
  await rm(file, { force: true });
  await setCapabilities(vm.qmp, [...options.capabilities, "events"], signal);
  const arrived = migrationEnd(vm.qmp, signal);
  try {
    await vm.qmp.execute("migrate-incoming", { uri: `unix:${join(vm.inside, options.name)}` }, signal);
    const socket = await connectUnix(file, signal);
    socket.end(state);
    socket.resume();
    await arrived.done;
    socket.destroy();
  } finally {
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
