import { createHash, createHmac } from "node:crypto";
import { ConsortError } from "#base/errors.ts";
import type { Address } from "./address.ts";

export type S3Request = {
  readonly method: "GET" | "PUT" | "POST" | "HEAD" | "DELETE";
  /** Without a slash before it; empty: of the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent with it, and signed; names in small letters. */
  readonly headers?: Readonly<Record<string, string>>;
  /** When it is asked, wall clock, ms since the epoch. */
  readonly atMs: number;
};

const validSeconds = 86_400;

/**
 * The address at which S3 answers this request (signature version 4 in the query): whoever has it may ask this for a
 * day. So any HTTP client can go on, or send what it reads from a file, without the keys. Without an access key:
 * unsigned, for public buckets.
 * @throws bad_input
 */
export function s3Address({ authority: bucket, secret }: Address, request: S3Request): string {
  const region = secret["region"] ?? "us-east-1";
  const own = secret["endpoint"];
  const home = region === "us-east-1" ? "s3" : `s3.${region}`;
  const endpoint = URL.parse(own ?? `https://${bucket}.${home}.amazonaws.com`);
  if (endpoint === null || !/^https?:$/.test(endpoint.protocol) || endpoint.pathname !== "/")
    throw new ConsortError(
      "bad_input",
      `Cannot use the S3 endpoint ${own}: http(s)://host[:port] was wanted`,
    );
  const path = `/${[...(own === undefined ? [] : [bucket]), ...request.key.split("/")].map(escaped).join("/")}`;
  const { accessKey, secretKey } = secret;
  const query = { ...request.query };
  const headers = Object.entries({ ...request.headers, host: endpoint.host }).sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const signedNames = headers.map(([name]) => name).join(";");
  if (accessKey === undefined || secretKey === undefined) {
    return `${endpoint.origin}${path}${questionMark(canonicalQuery(query))}`;
  }
  const at = new Date(request.atMs).toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${at.slice(0, 8)}/${region}/s3/aws4_request`;
  Object.assign(query, {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": `${accessKey}/${scope}`,
    "X-Amz-Date": at,
    "X-Amz-Expires": String(validSeconds),
    "X-Amz-SignedHeaders": signedNames,
    ...(secret["sessionToken"] === undefined ? {} : { "X-Amz-Security-Token": secret["sessionToken"] }),
  });
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    ...headers.map(([name, value]) => `${name}:${value}`),
    "",
    signedNames,
    "UNSIGNED-PAYLOAD",
  ].join("\n");
  const text = ["AWS4-HMAC-SHA256", at, scope, createHash("sha256").update(canonical).digest("hex")].join(
    "\n",
  );
  const key = [at.slice(0, 8), region, "s3", "aws4_request"].reduce<Buffer | string>(
    (before, part) => hmac(before, part),
    `AWS4${secretKey}`,
  );
  const signature = hmac(key, text).toString("hex");
  return `${endpoint.origin}${path}?${canonicalQuery(query)}&X-Amz-Signature=${signature}`;
}

const hmac = (key: Buffer | string, text: string): Buffer => createHmac("sha256", key).update(text).digest();

const questionMark = (query: string): string => (query === "" ? "" : `?${query}`);

/** As S3 wants it: everything but letters, digits and "-._~". */
export const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

function canonicalQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
    .sort()
    .join("&");
}
