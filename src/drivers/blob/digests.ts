import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import type { Digest } from "#model/image.ts";

const form = /^sha256:[0-9a-f]{64}$/;
const readBytes = 1024 * 1024;

export const isDigest = (text: string): text is Digest => form.test(text);

/** "sha256:ab…" → "ab…", the only part of a blob that ever becomes a file's name. @throws bad_input for anything else */
export function fileNameOf(digest: Digest): string {
  if (isDigest(digest)) return digest.slice("sha256:".length);
  throw new ConsortError(
    "bad_input",
    `Cannot use "${String(digest).slice(0, 80)}" as a digest: "sha256:" and 64 hexadecimal digits were wanted`,
  );
}

/** The name of a blob's file back to its digest; undefined for any other file. */
export function digestOf(fileName: string): Digest | undefined {
  const digest = `sha256:${fileName}`;
  return isDigest(digest) ? digest : undefined;
}

/** Of the whole file, holes read as zeros. */
export async function digestOfFile(path: string, signal: AbortSignal): Promise<Digest> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: readBytes, signal })) {
    hash.update(chunk as Buffer);
  }
  return `sha256:${hash.digest("hex")}`;
}
