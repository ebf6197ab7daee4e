import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { createGunzip, createZstdDecompress } from "node:zlib";
import type { Transform } from "node:stream";
import { codeOf, ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import type { Transfer } from "#drivers/transfer/port.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import { diskFactsOf, headerBytes } from "./disk-header.ts";
import { imageLimits } from "./limits.ts";
import type { DiskFacts, ImageSource, Wanted } from "./port.ts";
import { Uploads } from "./uploads.ts";

const hourMs = 3_600_000;
/** Files of ours in the store's workshop. */
const ours = /^(?:import|upload)-[0-9a-f]{64}(?:[.-]|$)/;

export type OutsideImagesParts = {
  readonly store: BlobStore;
  readonly transfer: Transfer;
  readonly subprocess: Subprocess;
  readonly clock: Clock;
  /** The largest download, and the largest that is unpacked. */
  readonly sizeBytesMax: number;
};

export function outsideImages(parts: OutsideImagesParts): ImageSource {
  const { store, transfer, clock, sizeBytesMax } = parts;
  const uploads = new Uploads(store, sizeBytesMax);
  return {
    bring: (wanted, onProgress, signal) => bring(parts, wanted, onProgress, signal),
    probe: (digest, signal) => probe(parts, digest, signal),
    append: (part, signal) => uploads.append(part, signal),
    discover: async (at, signal) => {
      // Loaded when asked for: what checks descriptions takes a tenth of an idle manager's memory.
      const { imagesAt } = await import("./discovery.ts");
      return imagesAt(transfer, store.workshop, at, signal);
    },
    forgetParts: async (signal) => {
      for (const name of await readdir(store.workshop)) {
        signal.throwIfAborted();
        const path = join(store.workshop, name);
        const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Infinity }));
        if (!ours.test(name) || clock.now() - mtimeMs <= imageLimits.partKeptHours * hourMs) continue;
        await rm(path);
        uploads.forget(name);
      }
    },
  };
}

async function bring(
  { store, transfer, subprocess, sizeBytesMax }: OutsideImagesParts,
  { url, sha256, secret }: Wanted,
  onProgress: Parameters<ImageSource["bring"]>[1],
  signal: AbortSignal,
): Promise<BlobRef> {
  const unpacks = unpackerFor(url);
  const there = sha256 === undefined ? undefined : (`sha256:${sha256}` as const);
  if (there !== undefined && unpacks === undefined && store.has(there)) {
    const blob = store.list().find(({ digest }) => digest === there);
    if (blob !== undefined) return blob;
  }
  const room = Math.min(sizeBytesMax, await store.roomBytes(signal));
  const name = `import-${createHash("sha256").update(url).digest("hex")}`;
  const file = join(store.workshop, name);
  const expected = { sizeBytesMax: room, ...(sha256 === undefined ? {} : { sha256 }) };
  const from = { url, ...(secret === undefined ? {} : { secret }) };
  await transfer.download(from, file, expected, onProgress, signal);
  if (unpacks === undefined) {
    // A disk that is mostly empty comes with all its zeros. A file system that knows no holes keeps them.
    await subprocess.run("fallocate", ["--dig-holes", file], signal);
    return store.adopt(file, signal);
  }
  try {
    return await store.put(unpacked(file, unpacks()), {}, signal);
  } finally {
    await rm(file, { force: true });
  }
}

function unpackerFor(url: string): (() => Transform) | undefined {
  const path = url.replace(/[?#].*$/, "");
  if (path.endsWith(".gz")) return createGunzip;
  return path.endsWith(".zst") ? createZstdDecompress : undefined;
}

/** As much of it as is read: who reads stops when it becomes too much. */
async function* unpacked(file: string, unpacker: Transform): AsyncGenerator<Uint8Array> {
  const source = createReadStream(file);
  source.on("error", (cause) => unpacker.destroy(cause));
  source.pipe(unpacker);
  try {
    for await (const chunk of unpacker) yield chunk as Uint8Array;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    throw new ConsortError("bad_input", `Cannot unpack the content: it is damaged (${code})`, { cause });
  } finally {
    source.destroy();
    unpacker.destroy();
  }
}

/** What its header says, and then QEMU's own tool, which is held in bounds: it reads what strangers wrote. */
async function probe(
  { store, subprocess }: OutsideImagesParts,
  digest: Digest,
  signal: AbortSignal,
): Promise<DiskFacts> {
  const path = store.path(digest);
  const file = await open(path, "r");
  let facts: DiskFacts;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    facts = diskFactsOf(buffer.subarray(0, bytesRead), (await file.stat()).size);
  } finally {
    await file.close();
  }
  if (facts.format === "raw") return facts;
  const bounds = [
    `--as=${imageLimits.probeAddressBytesMax}`,
    `--cpu=${imageLimits.probeCpuSeconds}`,
    "--nofile=16",
  ];
  const info = ["qemu-img", "info", "--output=json", "-f", "qcow2", "--", path];
  const options = { outputBytesMax: imageLimits.probeOutputBytesMax };
  const { code, stdout, stderr } = await subprocess
    .run("prlimit", [...bounds, "--", ...info], signal, options)
    .catch((cause: unknown) => {
      if (codeOf(cause) !== "limit_exceeded") throw cause;
      const words = "what it keeps beside its disk (snapshots, bitmaps) is more than can be told";
      throw new ConsortError("bad_input", `Cannot use this disk: ${words}: qemu-img convert`, { cause });
    });
  const told = code === 0 ? (JSON.parse(stdout) as { "virtual-size"?: unknown }) : {};
  if (told["virtual-size"] === facts.virtualBytes) return facts;
  const words = code === 0 ? "it is of another size than its header says" : stderr.trim().slice(-200);
  throw new ConsortError("bad_input", `Cannot use this disk: ${words}`);
}
