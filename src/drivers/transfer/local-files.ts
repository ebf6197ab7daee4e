import { createReadStream, createWriteStream } from "node:fs";
import { open, mkdir, readdir, realpath, rename, rm, stat } from "node:fs/promises";
import { constants } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { ConsortError } from "#base/errors.ts";
import type { Address } from "./address.ts";
import type { OnProgress } from "./port.ts";

/**
 * Files of this host below certain directories only. Links are followed first and looked at then, so none leads out of
 * them; what is opened is a regular file, never a device or a pipe that does not end.
 */
export class LocalFiles {
  readonly #roots: readonly string[];

  constructor(roots: readonly string[]) {
    this.#roots = roots;
  }

  async describe(at: Address): Promise<{ sizeBytes: number }> {
    return { sizeBytes: (await stat(await this.#existing(at))).size };
  }

  /** Appends to `target`. */
  async read(
    at: Address,
    target: string,
    sizeBytesMax: number,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const path = await this.#existing(at);
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const seen = await file.stat();
      if (!seen.isFile()) throw refused(at, "it is no regular file, which was wanted");
      if (seen.size > sizeBytesMax) throw tooLarge(at, sizeBytesMax);
      let doneBytes = 0;
      const counted = async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
        for await (const chunk of source) {
          doneBytes += chunk.length;
          if (doneBytes > sizeBytesMax) throw tooLarge(at, sizeBytesMax);
          onProgress({ doneBytes, totalBytes: seen.size });
          yield chunk;
        }
      };
      await pipeline(
        file.createReadStream({ autoClose: false, highWaterMark: 1024 * 1024 }),
        counted,
        createWriteStream(target, { flags: "w", mode: 0o600 }),
        { signal },
      );
    } finally {
      await file.close();
    }
  }

  /** Appears whole or not at all. */
  async write(source: string, to: Address, onProgress: OnProgress, signal: AbortSignal): Promise<void> {
    const path = await this.#wanted(to);
    const draft = join(dirname(path), `.${basename(path).slice(0, 200)}.consort-new`);
    const { size } = await stat(source);
    let doneBytes = 0;
    const counted = async function* (chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of chunks) {
        doneBytes += chunk.length;
        onProgress({ doneBytes, totalBytes: size });
        yield chunk;
      }
    };
    try {
      await rm(draft, { force: true });
      await pipeline(
        createReadStream(source),
        counted,
        createWriteStream(draft, { flags: "wx", flush: true }),
        {
          signal,
        },
      );
      await rename(draft, path);
    } finally {
      await rm(draft, { force: true });
    }
  }

  async list(at: Address): Promise<readonly string[]> {
    return (await readdir(await this.#existing(at))).sort();
  }

  async remove(at: Address): Promise<void> {
    const path = await this.#wanted(at);
    await rm(path, { force: true });
  }

  async #existing(at: Address): Promise<string> {
    try {
      const real = await realpath(at.path);
      if (this.#isInside(real)) return real;
    } catch (cause) {
      if (this.#isInside(at.path))
        throw new ConsortError("not_found", `Cannot read ${at.path}: there is no such file`, { cause });
    }
    throw this.#outside(at);
  }

  /** It may not be there yet; its directory is made below a root. */
  async #wanted(at: Address): Promise<string> {
    const directory = dirname(at.path);
    let there = directory;
    let real: string | undefined;
    while (real === undefined) {
      real = await realpath(there).catch(() => undefined);
      if (real === undefined) there = dirname(there);
    }
    if (!this.#isInside(real)) throw this.#outside(at);
    const parent = join(real, directory.slice(there.length));
    await mkdir(parent, { recursive: true });
    return join(parent, basename(at.path));
  }

  #isInside(path: string): boolean {
    return this.#roots.some(
      (root) => path === root || path.startsWith(root.endsWith(sep) ? root : `${root}${sep}`),
    );
  }

  #outside(at: Address): ConsortError {
    const roots = this.#roots.length === 0 ? "no directory" : this.#roots.join(", ");
    return new ConsortError(
      "forbidden",
      `Cannot use file://${at.path}: files below ${roots} may be used here`,
    );
  }
}

const refused = (at: Address, why: string): ConsortError =>
  new ConsortError("bad_input", `Cannot read file://${at.path}: ${why}`);

const tooLarge = (at: Address, sizeBytesMax: number): ConsortError =>
  new ConsortError(
    "limit_exceeded",
    `Cannot read file://${at.path}: it is larger than ${sizeBytesMax} bytes`,
  );
