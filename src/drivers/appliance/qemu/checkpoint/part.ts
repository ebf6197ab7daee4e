import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import type { Clock } from "#base/runtime.ts";
import { bytes } from "#base/units.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { CheckpointPart } from "#model/checkpoint.ts";
import { saves } from "./compression.ts";

/** Quick rather than small: what is slow saves no time. */
const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** Enough to know how well the rest can be compressed; less than this is sent as it is. */
const sampleBytes = 2 * 1024 * 1024;

export type PartTarget = {
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** What takes the copies takes in so many bytes per second. */
  readonly targetBps: number;
};

/** Keeps content as a blob, compressed if a sample of it tells that this ends sooner. */
export async function keepPart(
  content: AsyncIterable<Uint8Array>,
  { blobs, clock, targetBps }: PartTarget,
  signal: AbortSignal,
): Promise<CheckpointPart> {
  const source = content[Symbol.asyncIterator]();
  const sample: Uint8Array[] = [];
  let contentBytes = 0;
  let ended = false;
  while (!ended && contentBytes < sampleBytes) {
    const next = await source.next();
    ended = next.done === true;
    if (next.done === true) break;
    sample.push(next.value);
    contentBytes += next.value.length;
  }
  const compresses = !ended && saves(await measured(sample, clock), targetBps);
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield* sample.splice(0);
    for (;;) {
      const next = await source.next();
      if (next.done === true) return;
      contentBytes += next.value.length;
      yield next.value;
    }
  }
  try {
    const stored = compresses ? through(whole(), createZstdCompress(level), signal) : whole();
    const blob = await blobs.put(stored, {}, signal);
    return { ...blob, compression: compresses ? "zstd" : "none", contentBytes: bytes(contentBytes) };
  } finally {
    await source.return?.();
  }
}

async function measured(
  sample: readonly Uint8Array[],
  clock: Clock,
): Promise<{ bytes: number; compressedBytes: number; tookMs: number }> {
  const began = clock.monotonic();
  let compressedBytes = 0;
  const compressor = createZstdCompress(level);
  await pipeline(Readable.from(sample), compressor, async (output: AsyncIterable<Uint8Array>) => {
    for await (const chunk of output) compressedBytes += chunk.length;
  });
  const all = sample.reduce((sum, chunk) => sum + chunk.length, 0);
  return { bytes: all, compressedBytes, tookMs: clock.monotonic() - began };
}

async function* through(
  content: AsyncIterable<Uint8Array>,
  transform: NodeJS.ReadWriteStream,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const flow = pipeline(Readable.from(content, { objectMode: false }), transform, { signal });
  // Told to whoever reads, below.
  flow.catch(() => {});
  for await (const chunk of transform) yield chunk as Uint8Array;
  await flow;
}

/** A part's content as it was before it was kept. */
export function partContent(
  part: CheckpointPart,
  blobs: Pick<BlobStore, "path">,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const file = createReadStream(blobs.path(part.digest), { highWaterMark: 1024 * 1024, signal });
  return part.compression === "none" ? file : through(file, createZstdDecompress(), signal);
}
