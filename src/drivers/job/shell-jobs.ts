import { createReadStream, readFileSync } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { Millis } from "#base/units.ts";
import { freeBytes } from "#drivers/blob/disk-file.ts";
import { blobLimits } from "#drivers/blob/limits.ts";
import type { ExecRequest } from "#drivers/appliance/port.ts";
import type { JobCursor, JobDriver, JobLook, JobPlace, JobProgram, JobStanding } from "#drivers/job/port.ts";
import { runScript } from "#drivers/job/run-script.ts";
import type { Place, Transfer } from "#drivers/transfer/port.ts";
import type { StageIn, StageOut, StagingAddress } from "#model/job.ts";

/** Runs a program inside an appliance: `ApplianceDriver.exec`, or what comes to the same over SSH. */
export type RunInside = (id: ApplianceId, request: ExecRequest, signal: AbortSignal) => Promise<number>;

export type ShellJobsParts = {
  readonly run: RunInside;
  readonly transfer: Transfer;
  readonly secret: (name: string, signal: AbortSignal) => Promise<Readonly<Record<string, string>>>;
  /** For files on their way; this driver's own. */
  readonly directory: string;
};

/** Comments and indentation are for readers; some SSH servers take no long commands. */
const script = readFileSync(new URL("job.sh", import.meta.url), "utf8")
  .split("\n")
  .map((line) => line.trim())
  .filter((line) => line !== "" && !line.startsWith("#"))
  .join("\n");

const pieceBytes = 1024 * 1024;
const outputPieceBytes = 256 * 1024;
/** Longer than any message of ours. */
const complaintBytesMax = 4096;
/** What one file of a job may be: more fills the host. */
const stagedBytesMax = 64 * 1024 ** 3;

/**
 * Jobs by a POSIX shell inside their appliances (job.sh): the same in a task machine and in a guest. Nothing of an
 * appliance's files is opened from out here, so no path in it can lead anywhere else.
 */
export class ShellJobs implements JobDriver {
  readonly #parts: ShellJobsParts;

  constructor(parts: ShellJobsParts) {
    this.#parts = parts;
  }

  async stageIn(place: JobPlace, index: number, file: StageIn, signal: AbortSignal): Promise<void> {
    const local = await this.#onWay(place.key, `in.${index}`);
    const from = await this.#addressed(file, signal);
    const sizeBytesMax = Math.min(stagedBytesMax, await this.#roomBytes());
    await this.#parts.transfer.download(from, local, { sizeBytesMax }, () => {}, signal);
    let offset = 0;
    for await (const chunk of createReadStream(local, { highWaterMark: pieceBytes })) {
      const piece = chunk as Buffer;
      await this.#ask(place, ["put", String(index), String(offset)], signal, piece);
      offset += piece.length;
    }
    if (offset === 0) await this.#ask(place, ["put", String(index), "0"], signal, new Uint8Array());
    const words = ["place", String(index), place.directory ?? "", file.path, file.ifThere];
    await this.#ask(place, words, signal);
    await rm(local, { force: true });
  }

  async begin(place: JobPlace, program: JobProgram, signal: AbortSignal): Promise<void> {
    await this.#ask(place, ["begin"], signal, Buffer.from(runScript(place, program)));
  }

  async look(place: JobPlace, { stdout, stderr }: JobCursor, signal: AbortSignal): Promise<JobLook> {
    const words = [stdout.part, stdout.offset, stderr.part, stderr.offset, outputPieceBytes].map(String);
    const bytesMax = 2 * outputPieceBytes + 1024;
    return readLook(place, await this.#ask(place, ["look", ...words], signal, undefined, bytesMax));
  }

  async end(place: JobPlace, graceMs: Millis, signal: AbortSignal): Promise<void> {
    await this.#ask(place, ["end", String(Math.ceil(graceMs / 100))], signal);
  }

  async stageOut(place: JobPlace, index: number, file: StageOut, signal: AbortSignal): Promise<void> {
    const local = await this.#onWay(place.key, `out.${index}`);
    const work = place.directory ?? "";
    const told = (await this.#ask(place, ["size", work, file.path], signal)).toString().trim();
    const [size, sizeMax] = [Number(told), Math.min(stagedBytesMax, await this.#roomBytes())];
    if (!/^\d+$/.test(told))
      throw new ConsortError("driver_failed", `Cannot take ${file.path} away: its size is told as nonsense`);
    if (size > sizeMax)
      throw new ConsortError(
        "limit_exceeded",
        `Cannot take ${file.path} away: it has ${size} bytes, at most ${sizeMax} were wanted`,
      );
    const handle = await open(local, "w", 0o600);
    try {
      for (let offset = 0; offset < size;) {
        const most = Math.min(pieceBytes, size - offset);
        const words = ["take", work, file.path, String(offset), String(most)];
        const piece = await this.#ask(place, words, signal, undefined, most);
        if (piece.length === 0)
          throw new ConsortError("conflict", `Cannot take ${file.path} away: it is shorter than it was`);
        await handle.write(piece);
        offset += piece.length;
      }
    } finally {
      await handle.close();
    }
    await this.#parts.transfer.upload(local, await this.#addressed(file, signal), () => {}, signal);
    await rm(local, { force: true });
  }

  async clear(place: JobPlace, paths: readonly string[], signal: AbortSignal): Promise<void> {
    await rm(this.#directoryOf(place.key), { recursive: true, force: true });
    await this.#ask(place, ["clear", place.directory ?? "", ...paths], signal);
  }

  async #addressed({ url, credentials }: StagingAddress, signal: AbortSignal): Promise<Place> {
    if (credentials === undefined) return { url };
    return { url, secret: await this.#parts.secret(credentials, signal) };
  }

  /** For files on their way: what they leave of the disk is everything else's. */
  async #roomBytes(): Promise<number> {
    return Math.max(0, (await freeBytes(this.#parts.directory)) - blobLimits.diskReserveBytes);
  }

  #directoryOf(key: string): string {
    return join(this.#parts.directory, encodeURIComponent(key));
  }

  async #onWay(key: string, name: string): Promise<string> {
    await mkdir(this.#directoryOf(key), { recursive: true, mode: 0o700 });
    return join(this.#directoryOf(key), name);
  }

  /** What the script writes, up to so many bytes. */
  async #ask(
    { appliance, key }: JobPlace,
    words: readonly string[],
    signal: AbortSignal,
    stdin?: Uint8Array,
    bytesMax = complaintBytesMax,
  ): Promise<Buffer> {
    const out = collector(bytesMax);
    const err = collector(complaintBytesMax);
    const request: ExecRequest = {
      command: ["/bin/sh", "-c", script, "consort-job", words[0] ?? "", key, ...words.slice(1)],
      env: {},
      onOutput: (stream, chunk) => (stream === "stdout" ? out : err).put(chunk),
      ...(stdin === undefined ? {} : { stdin }),
    };
    const code = await this.#parts.run(appliance, request, signal);
    if (code === 0) return out.all();
    const why = err.all().toString().trim().replaceAll(/\s+/g, " ").slice(0, 300);
    throw new ConsortError(
      "driver_failed",
      `Cannot work for a job in ${appliance}: ${why === "" ? `its shell ended with ${code}` : why}`,
    );
  }
}

/** Up to so many bytes of what a program writes; the rest is let go, however much it is. */
function collector(bytesMax: number): { put(chunk: Uint8Array): void; all(): Buffer } {
  const chunks: Uint8Array[] = [];
  let left = bytesMax;
  return {
    put(chunk) {
      if (left <= 0) return;
      chunks.push(chunk.subarray(0, left));
      left -= Math.min(left, chunk.length);
    },
    all: () => Buffer.concat(chunks),
  };
}

/** "running 0 0 4096 12 0 0 0", then the pieces. What an appliance tells is checked before it is believed. */
function readLook(place: JobPlace, told: Buffer): JobLook {
  const end = told.indexOf("\n");
  const [state = "", ...rest] = told.subarray(0, Math.max(0, end)).toString().split(" ");
  const numbers = rest.map(Number);
  const [exitCode = 0, outPart = 0, outAt = 0, outBytes = 0, errPart = 0, errAt = 0, errBytes = 0] = numbers;
  const standing = standingOf(state, exitCode);
  const isSound =
    numbers.length === 7 &&
    numbers.every((one) => Number.isSafeInteger(one) && one >= 0) &&
    outBytes <= outputPieceBytes &&
    errBytes <= outputPieceBytes;
  if (standing === undefined || !isSound || told.length < end + 1 + outBytes + errBytes) {
    throw new ConsortError("driver_failed", `Cannot look at a job in ${place.appliance}: it tells nonsense`);
  }
  const cursor: JobCursor = {
    stdout: { part: outPart, offset: outAt + outBytes },
    stderr: { part: errPart, offset: errAt + errBytes },
  };
  const from = end + 1;
  return {
    standing,
    stdout: told.subarray(from, from + outBytes),
    stderr: told.subarray(from + outBytes, from + outBytes + errBytes),
    cursor,
  };
}

function standingOf(state: string, exitCode: number): JobStanding | undefined {
  if (state === "none" || state === "running" || state === "gone") return { state };
  return state === "ended" && exitCode <= 255 ? { state, exitCode } : undefined;
}
