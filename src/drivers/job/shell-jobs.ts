import { createReadStream, readFileSync } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import type { ExecRequest } from "#drivers/appliance/port.ts";
import type { JobCursor, JobDriver, JobLook, JobPlace, JobStanding } from "#drivers/job/port.ts";
import { runScript } from "#drivers/job/run-script.ts";
import type { Place, Transfer } from "#drivers/transfer/port.ts";
import type { StagingAddress } from "#model/job.ts";

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
export function shellJobs(parts: ShellJobsParts): JobDriver {
  const ask = async (
    place: JobPlace,
    words: readonly string[],
    signal: AbortSignal,
    stdin?: Uint8Array,
    bytesMax = complaintBytesMax,
  ): Promise<Buffer> => {
    const { appliance, key } = place;
    const out = collector(bytesMax);
    const err = collector(complaintBytesMax);
    const request: ExecRequest = {
      command: ["/bin/sh", "-c", script, "consort-job", words[0] ?? "", key, ...words.slice(1)],
      env: {},
      onOutput: (stream, chunk) => (stream === "stdout" ? out : err).put(chunk),
      ...(stdin === undefined ? {} : { stdin }),
    };
    const code = await parts.run(appliance, request, signal);
    if (code === 0) return out.all();
    const why = err.all().toString().trim().replaceAll(/\s+/g, " ").slice(0, 300);
    throw new ConsortError(
      "driver_failed",
      `Cannot work for a job in ${appliance}: ${why === "" ? `its shell ended with ${code}` : why}`,
    );
  };

  const addressed = async ({ url, credentials }: StagingAddress, signal: AbortSignal): Promise<Place> =>
    credentials === undefined ? { url } : { url, secret: await parts.secret(credentials, signal) };

  const onWay = async (key: string, name: string): Promise<string> => {
    const own = join(parts.directory, encodeURIComponent(key));
    await mkdir(own, { recursive: true, mode: 0o700 });
    return join(own, name);
  };

  return {
    async stageIn(place, index, file, signal) {
      const local = await onWay(place.key, `in.${index}`);
      await parts.transfer.download(
        await addressed(file, signal),
        local,
        { sizeBytesMax: stagedBytesMax },
        () => {},
        signal,
      );
      let offset = 0;
      for await (const chunk of createReadStream(local, { highWaterMark: pieceBytes })) {
        const piece = chunk as Buffer;
        await ask(place, ["put", String(index), String(offset)], signal, piece);
        offset += piece.length;
      }
      if (offset === 0) await ask(place, ["put", String(index), "0"], signal, new Uint8Array());
      await ask(place, ["place", String(index), place.directory ?? "", file.path, file.ifThere], signal);
      await rm(local, { force: true });
    },
    async begin(place, program, signal) {
      await ask(place, ["begin"], signal, Buffer.from(runScript(place, program)));
    },
    async look(place, cursor, signal) {
      const { stdout, stderr } = cursor;
      const words = [stdout.part, stdout.offset, stderr.part, stderr.offset, outputPieceBytes].map(String);
      const told = await ask(place, ["look", ...words], signal, undefined, 2 * outputPieceBytes + 1024);
      return readLook(place, told);
    },
    async end(place, graceMs, signal) {
      await ask(place, ["end", String(Math.ceil(graceMs / 100))], signal);
    },
    async stageOut(place, index, file, signal) {
      const local = await onWay(place.key, `out.${index}`);
      const work = place.directory ?? "";
      const size = Number((await ask(place, ["size", work, file.path], signal)).toString());
      const handle = await open(local, "w", 0o600);
      try {
        for (let offset = 0; offset < size;) {
          const most = Math.min(pieceBytes, size - offset);
          const words = ["take", work, file.path, String(offset), String(most)];
          const piece = await ask(place, words, signal, undefined, most);
          if (piece.length === 0)
            throw new ConsortError("conflict", `Cannot take ${file.path} away: it is shorter than it was`);
          await handle.write(piece);
          offset += piece.length;
        }
      } finally {
        await handle.close();
      }
      await parts.transfer.upload(local, await addressed(file, signal), () => {}, signal);
      await rm(local, { force: true });
    },
    async clear(place, paths, signal) {
      await rm(join(parts.directory, encodeURIComponent(place.key)), { recursive: true, force: true });
      await ask(place, ["clear", place.directory ?? "", ...paths], signal);
    },
  };
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
