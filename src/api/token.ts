import { createHash, timingSafeEqual } from "node:crypto";
import { link, mkdir, open, readFile, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { Random } from "#base/runtime.ts";

const tokenBytes = 32;
const tokenLengthMin = 32;
const readableByOthers = 0o077;

/**
 * The token in the file, which is made, whole or not at all, when missing.
 * @throws `forbidden` when others may read it, `bad_input` when it is too short to be secret.
 */
export async function readToken(path: string, random: Random): Promise<string> {
  const found = await tokenIn(path);
  if (found !== undefined) return found;
  await create(path, random.hex(tokenBytes), random);
  const made = await tokenIn(path);
  if (made !== undefined) return made;
  throw new ConsortError("driver_failed", `Cannot read the token file ${path}: it vanished`);
}

/** A check that takes as long for a token that is nearly right as for any other. */
export function tokenCheck(token: string): (header: string | undefined) => boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const wanted = digest(token);
  return (header) => {
    const given = /^bearer +([^\s]+)\s*$/i.exec(header ?? "")?.[1];
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}

async function tokenIn(path: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(path);
    if ((mode & readableByOthers) !== 0) {
      throw new ConsortError(
        "forbidden",
        `Cannot use the token file ${path}: others may read it, mode 0600 was wanted`,
      );
    }
    const token = (await readFile(path, "utf8")).trim();
    if (token.length >= tokenLengthMin && !/\s/.test(token)) return token;
    throw new ConsortError(
      "bad_input",
      `Cannot use the token file ${path}: one word of at least ${tokenLengthMin} characters was wanted`,
    );
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    if (cause instanceof ConsortError) throw cause;
    throw new ConsortError("driver_failed", `Cannot read the token file ${path}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** Written beside it and then linked, which fails if another process was quicker: its token holds then. */
async function create(path: string, token: string, random: Random): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${random.hex(8)}`;
  try {
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(`${token}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path).catch((error: unknown) => {
      if (!hasCode(error, "EEXIST")) throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
}

const isMissing = (error: unknown): boolean => hasCode(error, "ENOENT");
const hasCode = (error: unknown, code: string): boolean =>
  typeof error === "object" && error !== null && "code" in error && error.code === code;
