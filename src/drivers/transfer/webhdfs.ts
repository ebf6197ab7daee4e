import { ConsortError } from "#base/errors.ts";
import { escapedPath } from "./address.ts";
import type { Address } from "./address.ts";
import { curl } from "./curl.ts";
import type { CurlOption } from "./curl.ts";
import type { Server } from "./server.ts";

type Status = {
  readonly length?: unknown;
  readonly modificationTime?: unknown;
  readonly pathSuffix?: unknown;
};

/**
 * Hadoop's file system over its REST interface: webhdfs://host:port/path. The name node answers where the content is, or
 * is to go, and the data node behind that gives or takes it.
 */
export const webHdfsServer: Server = {
  describe: async (at, signal) => {
    const { FileStatus } = (await ask(at, "GET", "GETFILESTATUS", signal)) as { FileStatus?: Status };
    const { length, modificationTime } = FileStatus ?? {};
    return {
      ...(typeof length === "number" ? { sizeBytes: length } : {}),
      ...(typeof modificationTime === "number" ? { validator: `${modificationTime}-${String(length)}` } : {}),
    };
  },
  read: async (at, offset, into, signal) => {
    const options: CurlOption[] = [["url", urlOf(at, "OPEN", { offset: String(offset) })]];
    await curl(at, { ...into, options, redirectsTo: schemesOf(at) }, signal);
  },
  write: async (file, at, { look }, signal) => {
    const create = urlOf(at, "CREATE", { overwrite: "true" });
    const { status, redirect } = await curl(
      at,
      {
        options: [
          ["url", create],
          ["request", "PUT"],
        ],
      },
      signal,
    );
    if (status !== 307 || !schemesOf(at).some((scheme) => redirect.startsWith(`${scheme}://`)))
      throw new ConsortError(
        "driver_failed",
        `Cannot write to webhdfs://${at.authority}${at.path}: it answered ${status}, an address to write to was wanted`,
      );
    const options: CurlOption[] = [
      ["url", redirect],
      ["upload-file", file],
      ["header", "Content-Type: application/octet-stream"],
    ];
    await curl(at, { options, look }, signal);
  },
  list: async (at, signal) => {
    const { FileStatuses } = (await ask(at, "GET", "LISTSTATUS", signal)) as {
      FileStatuses?: { FileStatus?: readonly Status[] };
    };
    const names = (FileStatuses?.FileStatus ?? []).map(({ pathSuffix }) =>
      typeof pathSuffix === "string" ? pathSuffix : "",
    );
    return names.filter((name) => name !== "" && !name.includes("/")).sort();
  },
  remove: async (at, signal) => {
    await ask(at, "DELETE", "DELETE", signal);
  },
};

/** "tls" in the secret is "true" where the name node speaks https. */
const schemesOf = ({ secret }: Address): readonly string[] =>
  secret["tls"] === "true" ? ["https"] : ["http", "https"];

function urlOf(at: Address, operation: string, query: Readonly<Record<string, string>> = {}): string {
  const user = at.secret["user"] ?? at.user;
  const { token } = at.secret;
  const parameters = new URLSearchParams({
    op: operation,
    ...(user === undefined || token !== undefined ? {} : { "user.name": user }),
    ...(token === undefined ? {} : { delegation: token }),
    ...query,
  });
  const scheme = at.secret["tls"] === "true" ? "https" : "http";
  return `${scheme}://${at.authority}/webhdfs/v1${escapedPath(at.path)}?${parameters.toString()}`;
}

async function ask(at: Address, method: string, operation: string, signal: AbortSignal): Promise<object> {
  const options: CurlOption[] = [
    ["url", urlOf(at, operation)],
    ["request", method],
  ];
  const { text } = await curl(at, { options }, signal);
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null) return answer;
  } catch {
    // Told below.
  }
  throw new ConsortError(
    "driver_failed",
    `Cannot ask webhdfs://${at.authority}${at.path} for ${operation}: its answer is no JSON object`,
  );
}
