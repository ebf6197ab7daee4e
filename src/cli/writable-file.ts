import { constants } from "node:fs";
import { access, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";

type WriteOptions = { readonly mode?: number; readonly signal?: AbortSignal };

/** Finds out before long work whether its outcome can be written. Writes nothing. Throws `bad_input`. */
export async function checkWritable(file: string): Promise<void> {
  const folder = dirname(file);
  try {
    const known = await stat(file).catch(() => undefined);
    if (known?.isDirectory() === true) throw refusal(file, "it is a folder, wanted a file");
    if (known === undefined && !(await stat(folder)).isDirectory())
      throw refusal(file, `${folder} is no folder`);
    await access(known === undefined ? folder : file, constants.W_OK);
  } catch (cause) {
    throw cause instanceof ConsortError ? cause : refusal(file, reasonOf(cause, file), cause);
  }
}

/** Throws `bad_input`, or the signal's reason when it aborts. */
export async function writeTextFile(file: string, text: string, options: WriteOptions = {}): Promise<void> {
  try {
    await writeFile(file, text, options);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw refusal(file, reasonOf(cause, file), cause);
  }
}

const refusal = (file: string, reason: string, cause?: unknown): ConsortError =>
  new ConsortError("bad_input", `Cannot write ${file}: ${reason}`, cause === undefined ? {} : { cause });

const reasons: Readonly<Record<string, (file: string) => string>> = {
  ENOENT: (file) => `there is no folder ${dirname(file)}, wanted one that exists`,
  ENOTDIR: (file) => `${dirname(file)} is no folder`,
  EISDIR: () => "it is a folder, wanted a file",
  EACCES: () => "you may not",
  EPERM: () => "you may not",
  EROFS: () => "nothing can be written there: it is mounted read-only",
  ENOSPC: () => "the disk is full",
};

function reasonOf(cause: unknown, file: string): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  return reasons[code]?.(file) ?? messageOf(cause);
}
