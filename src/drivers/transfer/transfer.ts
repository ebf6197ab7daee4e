import { createHash } from "node:crypto";
import { closeSync, createReadStream, fstatSync, openSync } from "node:fs";
import { readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { codeOf, ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { hidden, parseAddress } from "./address.ts";
import type { Address, Scheme } from "./address.ts";
import { readPosition } from "./curl.ts";
import { transferLimits } from "./limits.ts";
import { LocalFiles } from "./local-files.ts";
import { loginServer } from "./login.ts";
import type { Expected, OnProgress, Place, Transfer } from "./port.ts";
import type { Description, Server } from "./server.ts";
import { webServer } from "./web.ts";
import { webHdfsServer } from "./webhdfs.ts";

const servers: Readonly<Record<Exclude<Scheme, "file" | "s3">, Server>> = {
  http: webServer,
  https: webServer,
  ftp: loginServer,
  sftp: loginServer,
  webhdfs: webHdfsServer,
};

/** S3 brings along what reads XML, and most hosts never speak it: loaded where it is asked for. */
const serverFor = async (scheme: Exclude<Scheme, "file">): Promise<Server> =>
  scheme === "s3" ? (await import("./s3.ts")).s3Server : servers[scheme];

/** What is tried again: the line broke, or the server cannot go on where it was asked to. */
const passing: ReadonlySet<string> = new Set(["unavailable", "conflict"]);

export type TransferOptions = {
  readonly clock: Clock;
  /** Directories whose files may be read and written by their addresses. */
  readonly roots: readonly string[];
  /** Path of the network namespace that servers are reached from; absent: this process's own. */
  readonly netns?: string;
};

/** Transfers by curl, a process each, and of files of this host. */
export function openTransfer({ clock, roots, netns }: TransferOptions): Transfer {
  const files = new LocalFiles(roots);
  const reach = (place: Place): Address => ({
    ...parseAddress(place),
    ...(netns === undefined ? {} : { netns }),
  });
  return {
    download: async (from, file, expected, onProgress, signal) => {
      const at = reach(from);
      const part = `${file}.part`;
      if (at.scheme === "file") {
        await files.read(at, part, expected.sizeBytesMax ?? Infinity, onProgress, signal);
      } else {
        await fetchAll(clock, await serverFor(at.scheme), { at, from, part, expected, onProgress }, signal);
      }
      return settle(from, part, file, expected, signal);
    },
    upload: async (file, to, onProgress, signal) => {
      const at = reach(to);
      if (at.scheme === "file") return files.write(file, at, onProgress, signal);
      const path = await realpath(file);
      const { size } = await stat(path);
      const look = (pid: number): void => {
        const doneBytes = readPosition(pid, path);
        if (doneBytes !== undefined) onProgress({ doneBytes, totalBytes: size });
      };
      const tell = (doneBytes: number): void => onProgress({ doneBytes, totalBytes: size });
      const server = await serverFor(at.scheme);
      const write = (): Promise<void> => server.write(path, at, { look, tell }, signal);
      await (server.goesOnWriting === true ? goingOn(clock, write, signal) : write());
      onProgress({ doneBytes: size, totalBytes: size });
    },
    copy: async (from, to, file, signal) => {
      const [source, target] = [reach(from), reach(to)];
      if (target.scheme === "file" || source.scheme !== target.scheme) return false;
      const server = await serverFor(target.scheme);
      const copied = server.copy?.(source, target, file, signal);
      return (await copied?.catch(() => signal.throwIfAborted())) === true;
    },
    list: async (place, signal) => {
      const at = reach(place);
      return at.scheme === "file" ? files.list(at) : (await serverFor(at.scheme)).list(at, signal);
    },
    abandonUploads: async (place, signal) => {
      const at = reach(place);
      if (at.scheme !== "file") await (await serverFor(at.scheme)).abandonUploads?.(at, signal);
    },
    remove: async (place, signal) => {
      const at = reach(place);
      if (at.scheme === "file") return files.remove(at);
      const server = await serverFor(at.scheme);
      await server.remove(at, signal).catch((cause: unknown) => {
        if (codeOf(cause) !== "not_found") throw cause;
      });
    },
  };
}

/** An upload that broke off is gone on with, a few times. */
async function goingOn(clock: Clock, write: () => Promise<void>, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await write();
    } catch (cause) {
      signal.throwIfAborted();
      if (!passing.has(codeOf(cause)) || attempt >= transferLimits.transferTriesMax) throw cause;
    }
    await clock.sleep(retryMs(attempt), signal);
  }
}

const retryMs = (attempt: number): Millis => millis(transferLimits.transferRetryMsMin * 2 ** (attempt - 1));

type Fetch = {
  readonly at: Address;
  readonly from: Place;
  readonly part: string;
  readonly expected: Expected;
  readonly onProgress: OnProgress;
};

/** Until all of it is in the part file, going on after each failure that may pass. */
async function fetchAll(clock: Clock, server: Server, fetch: Fetch, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetchOnce(server, fetch, signal);
    } catch (cause) {
      signal.throwIfAborted();
      // What there is does not go together with what the server has now.
      if (codeOf(cause) === "conflict") await rm(fetch.part, { force: true });
      if (!passing.has(codeOf(cause)) || attempt >= transferLimits.transferTriesMax)
        throw naming(fetch.from, cause);
    }
    await clock.sleep(retryMs(attempt), signal);
  }
}

async function fetchOnce(server: Server, fetch: Fetch, signal: AbortSignal): Promise<void> {
  const { at, part, expected, onProgress } = fetch;
  const seen = await server.describe(at, signal);
  const sizeMax = expected.sizeBytesMax ?? Infinity;
  if ((seen.sizeBytes ?? 0) > sizeMax) throw tooLarge(sizeMax);
  let offset = await keptBytes(part, seen, expected);
  if (seen.sizeBytes !== undefined && offset > seen.sizeBytes) offset = 0;
  if (offset === 0) await writeFile(part, "", { mode: 0o600 });
  await writeFile(noteOf(part), JSON.stringify(noteFor(seen, expected)), { mode: 0o600 });
  if (offset === seen.sizeBytes) return;
  const fd = openSync(part, "a");
  const look = (): void => {
    const { size } = fstatSync(fd);
    if (size > sizeMax) throw tooLarge(sizeMax);
    onProgress({ doneBytes: size, ...(seen.sizeBytes === undefined ? {} : { totalBytes: seen.sizeBytes }) });
  };
  try {
    await server.read(at, offset, { outputFd: fd, look }, signal);
    look();
    const { size } = fstatSync(fd);
    if (seen.sizeBytes !== undefined && size !== seen.sizeBytes)
      throw new ConsortError("conflict", `${size} bytes came, the server told of ${seen.sizeBytes}`);
  } finally {
    closeSync(fd);
  }
}

/** Checked, durable, and under its name. */
async function settle(
  from: Place,
  part: string,
  file: string,
  expected: Expected,
  signal: AbortSignal,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of createReadStream(part, { highWaterMark: 1024 * 1024 })) {
    signal.throwIfAborted();
    hash.update(chunk as Buffer);
    sizeBytes += (chunk as Buffer).length;
  }
  signal.throwIfAborted();
  const sha256 = hash.digest("hex");
  await rm(noteOf(part), { force: true });
  if (expected.sha256 !== undefined && expected.sha256 !== sha256) {
    await rm(part, { force: true });
    throw new ConsortError(
      "bad_input",
      `Cannot keep ${hidden(from.url)}: its SHA-256 is ${sha256}, ${expected.sha256} was wanted`,
    );
  }
  await rename(part, file);
  return { sizeBytes, sha256 };
}

const noteOf = (part: string): string => `${part}.note`;

/** Empty: what is read in part now cannot be gone on with by a later process. */
function noteFor({ validator }: Description, { sha256 }: Expected): string {
  return validator === undefined && sha256 === undefined ? "" : JSON.stringify([validator, sha256]);
}

/** How much of what lies there is sure to be the beginning of what the server has. */
async function keptBytes(part: string, seen: Description, expected: Expected): Promise<number> {
  const note = noteFor(seen, expected);
  const kept = await readFile(noteOf(part), "utf8").catch(() => undefined);
  if (note === "" || kept !== JSON.stringify(note)) return 0;
  return (await stat(part).catch(() => ({ size: 0 }))).size;
}

function naming({ url }: Place, cause: unknown): unknown {
  if (!(cause instanceof ConsortError)) return cause;
  const code = cause.code === "conflict" ? "unavailable" : cause.code;
  return new ConsortError(code, `${cause.message} (${hidden(url)})`, { cause });
}

const tooLarge = (sizeMax: number): ConsortError =>
  new ConsortError("limit_exceeded", `Cannot transfer: it is larger than ${sizeMax} bytes`);
