import { ConsortError } from "#base/errors.ts";
import { escapedPath } from "./address.ts";
import type { Address } from "./address.ts";
import { curl } from "./curl.ts";
import type { CurlAnswer, CurlOption } from "./curl.ts";
import type { Description, Server } from "./server.ts";

/** http and https: read with ranges, written with PUT. What is secret stays with the first server when it redirects. */
export const webServer: Server = {
  describe: async (at, signal) =>
    described(await head(at, urlOf(at), authentication(at), redirects(at), signal)),
  read: async (at, offset, into, signal) => {
    const options: CurlOption[] = [["url", urlOf(at)], ...authentication(at), ...continueAt(offset)];
    await curl(at, { ...into, options, redirectsTo: redirects(at) }, signal);
  },
  write: async (file, at, { look }, signal) => {
    const options: CurlOption[] = [["url", urlOf(at)], ["upload-file", file], ...authentication(at)];
    await curl(at, { options, look }, signal);
  },
  list: async (at) => {
    throw new ConsortError(
      "unsupported",
      `Cannot list ${at.scheme}://${at.authority}${at.path}: a web server has no listing`,
    );
  },
  remove: async (at, signal) => {
    await curl(at, { options: [["url", urlOf(at)], ["request", "DELETE"], ...authentication(at)] }, signal);
  },
};

const urlOf = ({ scheme, authority, path, query }: Address): string =>
  `${scheme}://${authority}${escapedPath(path)}${query}`;

/** Never from what is encrypted to what is not, and to nothing but the web. */
const redirects = ({ scheme }: Address): readonly string[] =>
  scheme === "https" ? ["https"] : ["http", "https"];

function authentication({ user, secret }: Address): CurlOption[] {
  if (secret["token"] !== undefined) return [["oauth2-bearer", secret["token"]]];
  const name = secret["user"] ?? user;
  return name === undefined ? [] : [["user", `${name}:${secret["password"] ?? ""}`]];
}

export const continueAt = (offset: number): CurlOption[] =>
  offset === 0 ? [] : [["continue-at", String(offset)]];

/** Asks about content without reading it. Undefined when the server answers no such question. */
async function head(
  at: Address,
  url: string,
  options: readonly CurlOption[],
  redirectsTo: readonly string[],
  signal: AbortSignal,
): Promise<CurlAnswer | undefined> {
  try {
    return await curl(at, { options: [["url", url], ["head", true], ...options], redirectsTo }, signal);
  } catch (cause) {
    const { status } = (cause instanceof ConsortError ? cause.details : {}) as { status?: number };
    if (status === 405 || status === 501) return undefined;
    throw cause;
  }
}

/** By the headers of the last answer: those of redirects come before it. */
export function described(answer: CurlAnswer | undefined): Description {
  const last =
    answer?.text
      .trim()
      .split(/\r?\n\r?\n/)
      .at(-1) ?? "";
  const header = (name: string): string | undefined =>
    new RegExp(`^${name}:[ \t]*(.*?)[ \t]*$`, "im").exec(last)?.[1];
  const length = header("content-length");
  const validator = header("etag") ?? header("last-modified");
  return {
    ...(length !== undefined && /^\d{1,18}$/.test(length) ? { sizeBytes: Number(length) } : {}),
    ...(validator === undefined || validator === "" || validator.startsWith("W/") ? {} : { validator }),
  };
}
