import { mkdir, open, readdir, readFile, rename, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "#base/limits.ts";
import { isNumber, isText, shape } from "#base/shape.ts";
import { spoolKey } from "#drivers/job/port.ts";
import type { JobEntry, JobSpool } from "#drivers/job/port.ts";

type Stream = "stdout" | "stderr";
const streams: readonly Stream[] = ["stdout", "stderr"];
const entryFile = "entry.json";
const isEntry = shape({
  id: isText,
  attempt: isNumber,
  appliance: isText,
  phase: isText,
  takenAtMs: isNumber,
});

/**
 * A directory for each attempt: its entry, and its output as files named by the byte they begin with, of which the
 * newest two are kept.
 */
export function spoolFiles(directory: string, outputBytesMax: number = limits.jobOutputBytesMax): JobSpool {
  const place = (key: string): string => join(directory, encodeURIComponent(key));

  return {
    async load() {
      const entries = await Promise.all(
        (await readdir(directory).catch((): string[] => [])).map(async (name) => {
          const own = join(directory, name);
          const entry = await readEntry(join(own, entryFile));
          // Without one it was never told of.
          if (entry === undefined) await rm(own, { recursive: true, force: true });
          else for (const stream of streams) await cut(own, stream, entry.written[stream]);
          return entry ?? [];
        }),
      );
      return entries.flat();
    },
    async save(entry) {
      const own = place(spoolKey(entry));
      await mkdir(own, { recursive: true, mode: 0o700 });
      const file = join(own, entryFile);
      const handle = await open(`${file}.new`, "w", 0o600);
      try {
        await handle.writeFile(JSON.stringify(entry));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${file}.new`, file);
    },
    async append(key, stream, data) {
      const own = place(key);
      await mkdir(own, { recursive: true, mode: 0o700 });
      const parts = await partsOf(own, stream);
      const last = parts.at(-1);
      const size = last === undefined ? 0 : await sizeOf(last.file);
      const isFull = last !== undefined && size >= outputBytesMax / 2;
      const startByte = last === undefined ? 0 : isFull ? last.startByte + size : last.startByte;
      const handle = await open(join(own, `${stream}.${startByte}`), "a", 0o600);
      try {
        await handle.writeFile(data);
      } finally {
        await handle.close();
      }
      if (isFull) for (const { file } of parts.slice(0, -1)) await rm(file, { force: true });
    },
    async read(key, stream, fromByte, maxBytes) {
      const parts = await partsOf(place(key), stream);
      const oldest = parts[0]?.startByte ?? 0;
      const from = Math.max(fromByte, oldest);
      const part = parts.findLast(({ startByte }) => startByte <= from);
      if (part === undefined) return { data: new Uint8Array(), fromByte: from, nextByte: from };
      const handle = await open(part.file, "r");
      try {
        const { buffer, bytesRead } = await handle.read(
          Buffer.alloc(maxBytes),
          0,
          maxBytes,
          from - part.startByte,
        );
        return { data: buffer.subarray(0, bytesRead), fromByte: from, nextByte: from + bytesRead };
      } finally {
        await handle.close();
      }
    },
    async remove(key) {
      await rm(place(key), { recursive: true, force: true });
    },
  };
}

async function readEntry(file: string): Promise<JobEntry | undefined> {
  try {
    const entry: unknown = JSON.parse(await readFile(file, "utf8"));
    return isEntry(entry) ? (entry as unknown as JobEntry) : undefined;
  } catch {
    return undefined;
  }
}

async function partsOf(own: string, stream: Stream): Promise<{ file: string; startByte: number }[]> {
  const names = await readdir(own).catch((): string[] => []);
  return names
    .flatMap((name) => {
      const startByte = new RegExp(`^${stream}\\.(\\d+)$`).exec(name)?.[1];
      return startByte === undefined ? [] : [{ file: join(own, name), startByte: Number(startByte) }];
    })
    .toSorted((a, b) => a.startByte - b.startByte);
}

/** What was written after the entry that tells of it comes again. */
async function cut(own: string, stream: Stream, written: number): Promise<void> {
  for (const { file, startByte } of await partsOf(own, stream)) {
    if (startByte >= written && startByte > 0) await rm(file, { force: true });
    else if (startByte + (await sizeOf(file)) > written) await truncate(file, written - startByte);
  }
}

const sizeOf = async (file: string): Promise<number> => (await stat(file)).size;
