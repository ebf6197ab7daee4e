import { chmodSync } from "node:fs";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "#base/errors.ts";
import { tableOf } from "./known-memory.ts";
import type { KnownMemory } from "./known-memory.ts";
import { MemoryPartWriter } from "./memory-part.ts";
import { PageTable } from "./page-table.ts";
import { RamStreamReader } from "./ram-stream.ts";
import type { RamBlock } from "./ram-stream.ts";

/** Reads a machine's memory from a socket, and passes on what is not as it was before. */
export type MemoryWorkerData = {
  readonly socketPath: string;
  /** What it was like before; absent: all of it counts as changed. */
  readonly before?: KnownMemory;
};

export type MemoryWorkerMessage =
  | { readonly kind: "listening" }
  | { readonly kind: "chunk"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "done"; readonly table: Uint8Array<ArrayBuffer> }
  | { readonly kind: "failed"; readonly message: string };

const port = parentPort;
if (port === null) throw new Error("this file is a thread's");
const { socketPath, before } = workerData as MemoryWorkerData;

const chunkBytes = 256 * 1024;
/** What the other thread has not taken yet; QEMU waits beyond. */
const waitingBytesMax = 8 * 1024 * 1024;

let chunk = Buffer.allocUnsafeSlow(chunkBytes);
let filled = 0;
let waiting = 0;
let socket: Socket | undefined;
let table: PageTable | undefined;
let isAll = false;

const tell = (message: MemoryWorkerMessage, transfer: ArrayBuffer[] = []): void =>
  port.postMessage(message, transfer);

function pass(): void {
  if (filled === 0) return;
  const bytes = new Uint8Array(chunk.buffer, 0, filled);
  waiting += filled;
  chunk = Buffer.allocUnsafeSlow(chunkBytes);
  filled = 0;
  tell({ kind: "chunk", bytes }, [bytes.buffer]);
  if (waiting > waitingBytesMax) socket?.pause();
}

function write(bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    const size = Math.min(bytes.length - at, chunkBytes - filled);
    bytes.copy(chunk, filled, at, at + size);
    filled += size;
    at += size;
    if (filled === chunkBytes) pass();
  }
}

function fail(cause: unknown): void {
  socket?.destroy();
  server.close();
  tell({ kind: "failed", message: messageOf(cause) });
}

// Before anything is sent: the machine runs on meanwhile.
const tableBefore = before === undefined ? undefined : await tableOf(before);

/** What it is compared with may be of another machine, or have stayed on another host: then all is new. */
function tableFor(blocks: readonly RamBlock[]): PageTable {
  if (tableBefore?.fits(blocks) === true) return tableBefore;
  isAll = true;
  return new PageTable(blocks);
}

const part = new MemoryPartWriter(write);
const devices: Buffer[] = [];
const reader = new RamStreamReader({
  prelude(bytes, blocks) {
    table = tableFor(blocks);
    part.head({ blocks, prelude: bytes, isAll });
  },
  page(block, page, data) {
    if (table?.changed(block, page, data) === true) part.page(block, page, data);
  },
  zero(block, page) {
    if (table?.zeroed(block, page) === true) part.zero(block, page);
  },
  tail: (bytes) => devices.push(Buffer.from(bytes)),
});

function finish(): void {
  reader.end();
  part.devices(Buffer.concat(devices));
  part.end();
  pass();
  const bytes = new Uint8Array(table?.serialize() ?? []);
  tell({ kind: "done", table: bytes }, [bytes.buffer]);
  port?.close();
}

const server = createServer({ pauseOnConnect: false }, (connected) => {
  server.close();
  socket = connected;
  connected.on("data", (bytes) => {
    try {
      reader.push(bytes);
    } catch (cause) {
      fail(cause);
    }
  });
  connected.on("error", fail);
  connected.on("end", () => {
    try {
      finish();
    } catch (cause) {
      fail(cause);
    }
  });
});
server.on("error", fail);
port.on("message", (takenBytes: number) => {
  waiting -= takenBytes;
  if (waiting < waitingBytesMax / 2) socket?.resume();
});
server.listen(socketPath, () => {
  // QEMU runs as a user of its own; what leads here is its own directory, and nobody else's.
  chmodSync(socketPath, 0o666);
  tell({ kind: "listening" });
});
