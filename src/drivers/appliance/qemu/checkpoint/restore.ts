import { rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { bytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { CheckpointPart } from "#model/checkpoint.ts";
import { stateSilenceMsMax } from "../incoming.ts";
import { Silence } from "../silence.ts";
import { oneAtATime, setCapabilities } from "../turns.ts";
import { connectUnix } from "../unix-path.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { mergedMemory } from "./merge.ts";
import { readMemoryPart } from "./memory-part.ts";
import { partContent } from "./part.ts";
import { pageBytes, RamStreamWriter } from "./ram-stream.ts";

/** What QEMU is to read of a machine whose parts these are, the newest first. */
export async function* memoryStream(
  parts: readonly CheckpointPart[],
  blobs: Pick<BlobStore, "path">,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let writer: RamStreamWriter | undefined;
  const devices: Buffer[] = [];
  for await (const records of mergedMemory(parts, blobs, signal)) {
    const output: Buffer[] = [];
    for (const record of records) {
      if (record.kind === "head") {
        writer = new RamStreamWriter(record.prelude, record.blocks);
        output.push(record.prelude, writer.begin());
      } else if (record.kind === "devices") devices.push(Buffer.from(record.bytes));
      else if (record.kind === "page" && writer !== undefined) {
        output.push(writer.page(record.block, record.page), record.data);
      } else if (record.kind === "zeros" && writer !== undefined) {
        for (let at = 0; at < record.count; at += 1)
          output.push(writer.zero(record.block, record.first + at));
      }
    }
    if (output.length > 0) yield Buffer.concat(output);
  }
  if (writer === undefined) throw new ConsortError("bad_input", "Cannot restore a machine: it has no memory");
  yield Buffer.concat([writer.end(), ...devices]);
}

/** Of the machine a part was taken of: the memory it was started with, without what was plugged in later. */
export async function mainMemoryOf(
  part: CheckpointPart,
  blobs: Pick<BlobStore, "path">,
  signal: AbortSignal,
): Promise<Bytes> {
  for await (const records of readMemoryPart(partContent(part, blobs, signal))) {
    const head = records.find((record) => record.kind === "head");
    if (head === undefined) continue;
    const main = head.blocks.find(({ name }) => mainBlocks.has(name.slice(name.lastIndexOf("/") + 1)));
    if (main !== undefined) return bytes(main.pages * pageBytes);
  }
  throw new ConsortError("bad_input", "Cannot restore a machine: its checkpoint has no memory");
}

/** As the memory object of our command lines is called, and the one QEMU makes by itself. */
const mainBlocks = new Set(["ram", "pc.ram", "microvm.ram"]);

/** One that waits for its memory (`-incoming defer`) gets it and goes on where it was. `parts`: the newest first. */
export function restoreMemory(
  vm: RunningVm,
  parts: readonly CheckpointPart[],
  blobs: Pick<BlobStore, "path">,
  outer: AbortSignal,
  silenceMsMax = stateSilenceMsMax,
): Promise<void> {
  return oneAtATime(vm.qmp, async () => {
    const name = "ck-restore";
    const file = join(vm.directory, name);
    await rm(file, { force: true });
    using silence = new Silence("restore a machine", silenceMsMax, outer);
    const { signal } = silence;
    await setCapabilities(vm.qmp, ["events"], signal);
    const arrived = arrival(vm.qmp, signal);
    try {
      await vm.qmp.execute("migrate-incoming", { uri: `unix:${join(vm.inside, name)}` }, signal);
      const socket = await connectUnix(file, signal);
      await send(socket, memoryStream(parts, blobs, signal), silence);
      await arrived.done;
      await vm.qmp.execute("cont", {}, signal);
    } finally {
      arrived.stop();
      await rm(file, { force: true });
    }
  });
}

async function send(socket: Socket, content: AsyncIterable<Buffer>, silence: Silence): Promise<void> {
  const { signal } = silence;
  const abort = (): void => void socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  try {
    for await (const piece of content) {
      if (socket.destroyed) throw new ConsortError("driver_failed", "Cannot restore a machine: QEMU hung up");
      if (!socket.write(piece)) await drained(socket);
      silence.heard();
    }
    socket.end();
    socket.resume();
  } catch (cause) {
    socket.destroy();
    // Who hung up was we.
    signal.throwIfAborted();
    throw cause;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      socket.off("drain", over);
      socket.off("close", over);
      resolve();
    };
    socket.on("drain", over);
    socket.on("close", over);
  });
}

function arrival(qmp: Qmp, signal: AbortSignal): { readonly done: Promise<void>; stop(): void } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => {});
  const ends = qmp.onEvent(({ event, data }) => {
    if (event !== "MIGRATION") return;
    if (data["status"] === "completed") resolve();
    if (data["status"] === "failed") {
      reject(new ConsortError("driver_failed", "Cannot restore a machine: QEMU could not read its memory"));
    }
  });
  const abort = (): void => reject(signal.reason);
  const lost = (): void =>
    reject(
      new ConsortError("driver_failed", "Cannot restore a machine: QEMU ended while it read its memory"),
    );
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
