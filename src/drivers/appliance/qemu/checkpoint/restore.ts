import { rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { CheckpointPart } from "#model/checkpoint.ts";
import { oneAtATime, setCapabilities } from "../turns.ts";
import { connectUnix } from "../unix-path.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { readMemoryPart } from "./memory-part.ts";
import type { MemoryHead } from "./memory-part.ts";
import { partContent } from "./part.ts";
import { RamStreamWriter } from "./ram-stream.ts";

/**
 * What QEMU is to read: the newest prelude, each page as the newest part that has it tells, and the newest devices.
 * Parts are read from the newest to the oldest, or to one that has all. `parts`: the newest first.
 */
export async function* memoryStream(
  parts: readonly CheckpointPart[],
  blobs: Pick<BlobStore, "path">,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let newest: MemoryHead | undefined;
  let writer: RamStreamWriter | undefined;
  let seen: Uint8Array[] = [];
  const devices: Buffer[] = [];
  for (const [age, part] of parts.entries()) {
    /** Within one part the last record of a page counts, so it is only noted at its end. */
    const mine: Uint8Array[] = seen.map((one) => new Uint8Array(one.length));
    let isAll = false;
    for await (const records of readMemoryPart(partContent(part, blobs, signal))) {
      const output: Buffer[] = [];
      for (const record of records) {
        if (record.kind === "head") {
          if (newest === undefined) {
            newest = record;
            writer = new RamStreamWriter(record.prelude, record.blocks);
            seen = record.blocks.map(({ pages }) => new Uint8Array(pages));
            mine.push(...seen.map((one) => new Uint8Array(one.length)));
            output.push(record.prelude, writer.begin());
          } else if (JSON.stringify(record.blocks) !== JSON.stringify(newest.blocks)) throw mismatch();
          isAll = record.isAll;
        } else if (record.kind === "devices") {
          if (age === 0) devices.push(Buffer.from(record.bytes));
        } else if (writer !== undefined) {
          const { block } = record;
          if (record.kind === "page") {
            const { page, data } = record;
            if (seen[block]?.[page] === 1) continue;
            note(mine, block, page);
            output.push(writer.page(block, page), data);
          } else {
            for (let page = record.first; page < record.first + record.count; page += 1) {
              if (seen[block]?.[page] === 1) continue;
              note(mine, block, page);
              output.push(writer.zero(block, page));
            }
          }
        }
      }
      if (output.length > 0) yield Buffer.concat(output);
    }
    merge(seen, mine);
    if (isAll) break;
  }
  if (writer === undefined) throw new ConsortError("bad_input", "Cannot restore a machine: it has no memory");
  yield Buffer.concat([writer.end(), ...devices]);
}

function note(pages: readonly Uint8Array[], block: number, page: number): void {
  const one = pages[block];
  if (one !== undefined) one[page] = 1;
}

function merge(into: readonly Uint8Array[], from: readonly Uint8Array[]): void {
  for (const [block, pages] of from.entries()) {
    const target = into[block];
    if (target === undefined) continue;
    for (let page = 0; page < pages.length; page += 1) if (pages[page] === 1) target[page] = 1;
  }
}

const mismatch = (): ConsortError =>
  new ConsortError("bad_input", "Cannot restore a machine: its checkpoints are of different machines");

/** One that waits for its memory (`-incoming defer`) gets it and goes on where it was. `parts`: the newest first. */
export function restoreMemory(
  vm: RunningVm,
  parts: readonly CheckpointPart[],
  blobs: Pick<BlobStore, "path">,
  signal: AbortSignal,
): Promise<void> {
  return oneAtATime(vm.qmp, async () => {
    const name = "ck-restore";
    const file = join(vm.directory, name);
    await rm(file, { force: true });
    await setCapabilities(vm.qmp, ["events"], signal);
    const arrived = arrival(vm.qmp, signal);
    try {
      await vm.qmp.execute("migrate-incoming", { uri: `unix:${join(vm.inside, name)}` }, signal);
      const socket = await connectUnix(file, signal);
      await send(socket, memoryStream(parts, blobs, signal), signal);
      await arrived.done;
      await vm.qmp.execute("cont", {}, signal);
    } finally {
      arrived.stop();
      await rm(file, { force: true });
    }
  });
}

async function send(socket: Socket, content: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
  const abort = (): void => void socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  try {
    for await (const bytes of content) {
      if (socket.destroyed) throw new ConsortError("driver_failed", "Cannot restore a machine: QEMU hung up");
      if (!socket.write(bytes)) await drained(socket);
    }
    socket.end();
    socket.resume();
  } catch (cause) {
    socket.destroy();
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
