import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { Address } from "./address.ts";
import { curl } from "./curl.ts";
import { s3Address } from "./s3-sign.ts";
import type { S3Request } from "./s3-sign.ts";

/** The address that answers this request, from now on. */
export const signed = (at: Address, request: Omit<S3Request, "atMs">): string =>
  s3Address(at, { ...request, atMs: Date.now() });

export const keyOf = ({ path }: Address): string => path.slice(1);

/** Of a file, or of the bytes from `start` to `end`, which is the last of them. */
export async function md5Of(
  file: string,
  range: { readonly start?: number; readonly end?: number },
  signal: AbortSignal,
): Promise<Buffer> {
  const md5 = createHash("md5");
  for await (const chunk of createReadStream(file, { ...range, highWaterMark: 1024 * 1024, signal }))
    md5.update(chunk as Buffer);
  return md5.digest();
}

/** An object, or with a query what the query names of it. */
export async function removeAt(
  at: Address,
  { key, query }: Pick<S3Request, "key" | "query">,
  signal: AbortSignal,
): Promise<void> {
  const url = signed(at, { method: "DELETE", key, ...(query === undefined ? {} : { query }) });
  const options = [
    ["url", url],
    ["request", "DELETE"],
  ] as const;
  await curl(at, { options }, signal);
}
