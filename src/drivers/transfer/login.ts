import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { escapedPath } from "./address.ts";
import type { Address } from "./address.ts";
import { curl } from "./curl.ts";
import type { CurlAnswer, CurlOption, CurlRun } from "./curl.ts";
import type { Server } from "./server.ts";
import { continueAt, described } from "./web.ts";

/** ftp and sftp. A server of sftp tells neither size nor time, so what was read of it is not gone on with later. */
export const loginServer: Server = {
  describe: async (at, signal) => {
    if (at.scheme === "sftp") return {};
    const options: CurlOption[] = [
      ["url", urlOf(at)],
      ["head", true],
    ];
    return described(await logIn(at, { options }, signal));
  },
  read: async (at, offset, into, signal) => {
    await logIn(at, { ...into, options: [["url", urlOf(at)], ...continueAt(offset)] }, signal);
  },
  write: async (file, at, { look }, signal) => {
    const options: CurlOption[] = [
      ["url", urlOf(at)],
      ["upload-file", file],
      ["ftp-create-dirs", true],
    ];
    await logIn(at, { options, look }, signal);
  },
  list: async (at, signal) => {
    const options: CurlOption[] = [
      ["url", urlOf({ ...at, path: at.path.replace(/\/*$/, "/") })],
      ["list-only", true],
    ];
    const { text } = await logIn(at, { options }, signal);
    return text
      .split(/\r?\n/)
      .filter((name) => !["", ".", ".."].includes(name) && !name.includes("/"))
      .sort();
  },
  remove: async (at, signal) => {
    // A command in the server's own words, where quotes and line ends mean something.
    if (/["\r\n]/.test(at.path))
      throw new ConsortError("bad_input", `Cannot remove ${at.path}: a path without quotes was wanted`);
    const options: CurlOption[] = [
      ["url", urlOf({ ...at, path: "/" })],
      ["list-only", true],
      // What begins with "*" may fail: it is not there.
      ["quote", at.scheme === "sftp" ? `*rm "${at.path}"` : `*DELE ${at.path.slice(1)}`],
    ];
    await logIn(at, { options }, signal);
  },
};

const urlOf = ({ scheme, authority, path }: Address): string =>
  `${scheme}://${authority}${escapedPath(path)}`;

/** One run; a private key is in a file of its own only as long as it lasts. */
async function logIn(at: Address, run: CurlRun, signal: AbortSignal): Promise<CurlAnswer> {
  const { secret, scheme } = at;
  const user = secret["user"] ?? at.user ?? (scheme === "ftp" ? "anonymous" : undefined);
  if (user === undefined)
    throw new ConsortError("forbidden", `Cannot log in at ${at.authority}: a user's name was wanted`);
  const login: CurlOption[] = [["user", `${user}:${secret["password"] ?? ""}`]];
  if (scheme === "ftp") return curl(at, { ...run, options: [...run.options, ...login] }, signal);
  login.push(...hostKey(at));
  const { privateKey } = secret;
  if (privateKey === undefined) return curl(at, { ...run, options: [...run.options, ...login] }, signal);
  const directory = await mkdtemp(join(tmpdir(), "consort-key-"));
  try {
    await writeFile(join(directory, "key"), privateKey.trimEnd() + "\n", { mode: 0o600 });
    login.push(["key", join(directory, "key")]);
    return await curl(at, { ...run, options: [...run.options, ...login] }, signal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Who the server is must be known: else anybody on the way could read the password and write the content. */
function hostKey({ authority, secret }: Address): CurlOption[] {
  const fingerprint = /^SHA256:([A-Za-z0-9+/]{43})=?$/.exec(secret["hostKey"] ?? "")?.[1];
  if (fingerprint !== undefined) return [["hostpubsha256", fingerprint]];
  throw new ConsortError(
    "forbidden",
    `Cannot trust the server at ${authority}: the fingerprint of its key was wanted as "hostKey" of the secret ("SHA256:…", as ssh-keygen -lf prints it)`,
  );
}
