import type { Quantity } from "#formats/units.ts";

/** Between which places files of jobs move. */
export const stagingSchemes = ["file", "sftp", "ftp", "s3", "webhdfs", "http", "https"] as const;

const expected = `a URL of ${stagingSchemes.slice(0, -1).join(", ")} or ${stagingSchemes.at(-1)}`;
const lengthMax = 2048;
// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const plain = /^[^\s\u0000-\u001f\u007f\\]+$/;

/** An address that says what it seems to say: no way up, nothing hidden by escapes, no password in it. */
export function parseStagingAddress(text: string): Quantity<string> {
  const refuse = (what: string, suggestion?: string): Quantity<string> => ({
    ok: false,
    expected: what,
    ...(suggestion === undefined ? {} : { suggestion }),
  });
  if (text.length > lengthMax) return refuse(`a URL of at most ${lengthMax} characters`);
  if (text.startsWith("/")) return refuse(expected, `write file://${text}`);
  if (!plain.test(text) || !URL.canParse(text)) return refuse(expected);
  const url = new URL(text);
  if (!stagingSchemes.some((scheme) => url.protocol === `${scheme}:`)) return refuse(expected);
  if (url.password !== "") return refuse("a URL without a password", "put it in a secret: credentials: NAME");
  if (url.hash !== "") return refuse("a URL without a #fragment");
  const path = /^[a-z0-9]+:(?:\/\/[^/?#]*)?([^?#]*)/i.exec(text)?.[1] ?? "";
  const parts = decoded(path)?.split("/");
  // As it was written: what reads it later may not take ".." away as URLs do.
  if (parts === undefined || parts.some((part) => part === "." || part === ".." || !inner(part)))
    return refuse("a URL whose path has no . or .., nor escapes that hide something");
  if (parts.slice(1).every((part) => part === "") && url.protocol !== "http:" && url.protocol !== "https:")
    return refuse("a URL with a path", "name a file behind the host");
  if (url.protocol !== "file:")
    return url.hostname === "" ? refuse("a URL with a host in it") : { ok: true, value: text };
  if (url.hostname !== "" && url.hostname !== "localhost")
    return refuse("a file: URL without a host, such as file:///srv/data/in.txt");
  if (url.search !== "") return refuse("a file: URL without a ?query");
  return { ok: true, value: text };
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const inner = (part: string): boolean => !/[\u0000-\u001f\u007f\\]/.test(part);
