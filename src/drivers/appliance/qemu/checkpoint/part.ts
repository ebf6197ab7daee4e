import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { bytes } from "#base/units.ts";
import type { BlobStore } from "#drivers/blob/port.ts";
import type { CheckpointPart } from "#model/checkpoint.ts";
import { saves } from "./compression.ts";
import type { CompressionSample } from "./compression.ts";

/** Quick rather than small: what is slow saves no time. */
const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** Enough to know how well the rest can be compressed. */
const sampleBytes = 2 * 1024 * 1024;

export type PartTarget = {
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** What takes the copies takes in so many bytes per second. */
  readonly targetBps: number;
};

/**
 * Keeps content as a blob, compressed if a sample of it tells that this ends sooner. Of little content the sample is all:
 * having been compressed it is kept so, if that is smaller.
 */
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
  const { compressed, ...figures } = await measured(sample, clock);
  const compresses = ended ? figures.compressedBytes < figures.bytes : saves(figures, targetBps);
  const begin = compresses && ended ? compressed : sample;
  async function* whole(): AsyncGenerator<Uint8Array> {
    yield* begin.splice(0);
    for (;;) {
      const next = await source.next();
      if (next.done === true) return;
      contentBytes += next.value.length;
      yield next.value;
    }
  }
  try {
    const stored = compresses && !ended ? through(whole(), createZstdCompress(level), signal) : whole();
    const blob = await blobs.put(stored, {}, signal);
    return { ...blob, compression: compresses ? "zstd" : "none", contentBytes: bytes(contentBytes) };
  } finally {
    await source.return?.();
  }
}

async function measured(
  sample: readonly Uint8Array[],
  clock: Clock,
): Promise<CompressionSample & { readonly compressed: Uint8Array[] }> {
  const began = clock.monotonic();
  const compressed: Uint8Array[] = [];
  const compressor = createZstdCompress(level);
  await pipeline(Readable.from(sample), compressor, async (output: AsyncIterable<Uint8Array>) => {
    for await (const chunk of output) compressed.push(chunk);
  });
  const tookMs = clock.monotonic() - began;
  return { bytes: sizeOf(sample), compressedBytes: sizeOf(compressed), tookMs, compressed };
}

const sizeOf = (chunks: readonly Uint8Array[]): number =>
  chunks.reduce((sum, chunk) => sum + chunk.length, 0);

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
  return part.compression === "none" ? file : unpacked(file, signal);
}

async function* unpacked(file: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* through(file, createZstdDecompress(), signal);
  } catch (cause) {
    if (!isDecompressors(cause)) throw cause;
    throw new ConsortError("bad_input", "Cannot read a part of a checkpoint: it is damaged", { cause });
  }
}

const isDecompressors = (cause: unknown): boolean =>
  cause instanceof Error && "code" in cause && String(cause.code).startsWith("ZSTD_");
