import { ConsortError } from "#base/errors.ts";
import { transferLimits } from "./limits.ts";
import type { Place, Secret } from "./port.ts";

export const schemes = ["file", "http", "https", "ftp", "sftp", "s3", "webhdfs"] as const;
export type Scheme = (typeof schemes)[number];

/** An address that was looked at: its parts hold nothing that means something else to a server or a program. */
export type Address = {
  readonly scheme: Scheme;
  /** "host" or "host:port"; of s3 the bucket; empty for file. */
  readonly authority: string;
  readonly user?: string;
  /** Decoded, absolute, without "." and ".." parts. */
  readonly path: string;
  /** With its "?", of http and https. */
  readonly query: string;
  readonly secret: Secret;
  /** Path of the network namespace it is reached from; absent: this process's own. */
  readonly netns?: string;
};

/** @throws bad_input */
export function parseAddress({ url, secret = {} }: Place): Address {
  const fail = (why: string): never => {
    throw new ConsortError("bad_input", `Cannot use the address ${hidden(url)}: ${why}`);
  };
  if (url.length > transferLimits.addressCharactersMax)
    fail(`it has ${url.length} characters, at most ${transferLimits.addressCharactersMax} were wanted`);
  const scheme = schemes.find((one) => url.startsWith(`${one}://`));
  if (scheme === undefined) return fail(`one that begins with ${schemes.join("://, ")}:// was wanted`);
  // Before anything is made of it: what parses an address drops some of these silently.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u0020\u007f\\]/.test(url)) fail("no blanks, backslashes or control characters were wanted");
  if (/(?:^|[/])(?:\.|%2e){1,2}(?:[/?#]|$)/i.test(url)) fail('no "." or ".." in its path was wanted');
  // A scheme the parser has rules for: others keep what they are given.
  const parsed = URL.parse(url.replace(/^[a-z0-9]+:/, "http:"));
  if (scheme !== "file" && parsed === null) return fail("a host and a path were wanted");
  if ((parsed?.password ?? "") !== "")
    fail("no password in it was wanted: name a secret that holds it instead");
  const path = decoded(scheme === "file" ? url.slice("file://".length) : (parsed?.pathname ?? ""));
  if (path === undefined || path.includes("\0") || /[\r\n]/.test(path) || path.split("/").includes(".."))
    return fail('a path without control characters and ".." was wanted');
  if (!path.startsWith("/")) fail("an absolute path was wanted");
  if ((parsed?.hash ?? "") !== "") fail('no "#" was wanted');
  const isWeb = scheme === "http" || scheme === "https";
  if (!isWeb && scheme !== "file" && (parsed?.search ?? "") !== "") fail('no "?" was wanted');
  return {
    scheme,
    authority: scheme === "file" ? "" : (parsed?.host ?? ""),
    ...((parsed?.username ?? "") === "" ? {} : { user: decodeURIComponent(parsed?.username ?? "") }),
    path,
    query: isWeb ? (parsed?.search ?? "") : "",
    secret,
  };
}

/** For messages and logs. */
export const hidden = (url: string): string =>
  url.slice(0, 200).replace(/\/\/([^/@:]*):[^/@]*@/, "//$1:***@");

/** Every part escaped, as it stands in an address. */
export const escapedPath = (path: string): string => path.split("/").map(encodeURIComponent).join("/");

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
