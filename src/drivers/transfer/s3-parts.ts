import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { ConsortError } from "#base/errors.ts";
import { readXmlTree } from "#formats/xml-tree.ts";
import type { Element } from "#formats/xml-tree.ts";
import type { Address } from "./address.ts";
import { curl, inputFile } from "./curl.ts";
import type { CurlAnswer, CurlOption } from "./curl.ts";
import { transferLimits } from "./limits.ts";
import { keyOf, md5Of, removeAt, signed } from "./s3-request.ts";
import type { WriteWatch } from "./server.ts";
import { described } from "./web.ts";

type Upload = {
  readonly file: string;
  readonly size: number;
  readonly at: Address;
  readonly watch: WriteWatch;
};
type Part = { readonly number: number; readonly start: number; readonly end: number };
type Begun = { readonly key: string; readonly id: string; readonly initiatedMs: number };

/** What is listed comes in pages; so many at most. */
const pagesMax = 100;

/**
 * Sends a large file to S3 in parts:
 *
 *   begun before? (its parts are listed) ──► each part: MD5 ──► there with that MD5: kept; else sent ──► put together
 *
 * Nothing is remembered here: what goes on after a death, on this host or another, is what the server tells, and a part
 * is kept only if what the server has is what the file has now. The object appears when all is put together, whole.
 */
export async function writeInParts(upload: Upload, signal: AbortSignal): Promise<void> {
  const { file, at, watch, size } = upload;
  const { id, there } = await beginOrGoOn(at, signal);
  const tags: string[] = [];
  for (const part of partsOf(size)) {
    const md5 = await md5Of(file, part, signal);
    const kept = there.get(part.number);
    tags.push(kept === md5.toString("hex") ? kept : await send(upload, id, part, md5, signal));
    watch.tell(part.end + 1);
  }
  await putTogether(at, id, tags, signal);
  const head = {
    options: [
      ["url", signed(at, { method: "HEAD", key: keyOf(at) })],
      ["head", true],
    ],
  } as const;
  const { sizeBytes } = described(await curl(at, head, signal));
  if (sizeBytes === size) return;
  throw failed(at, `${String(sizeBytes)} bytes are there now, ${size} were sent`);
}

/** All that was sent in part only, to this key and to those below it, is forgotten by the server. */
export async function abandonUploads(at: Address, signal: AbortSignal): Promise<void> {
  const key = keyOf(at).replace(/\/+$/, "");
  for (const begun of await uploadsBegun(at, key, signal)) {
    if (begun.key === key || begun.key.startsWith(`${key}/`)) await abandon(at, begun, signal);
  }
}

/** The newest one that was begun for this object, with the MD5 of each part that is there, or a new one. */
async function beginOrGoOn(
  at: Address,
  signal: AbortSignal,
): Promise<{ readonly id: string; readonly there: ReadonlyMap<number, string> }> {
  const key = keyOf(at);
  const all = (await uploadsBegun(at, key, signal)).filter((one) => one.key === key);
  const [newest, ...older] = all.toSorted((a, b) => b.initiatedMs - a.initiatedMs);
  if (newest === undefined) return { id: await begin(at, signal), there: new Map() };
  const orphanMs = transferLimits.transferS3OrphanHours * 3_600_000;
  for (const one of older) {
    if (newest.initiatedMs - one.initiatedMs > orphanMs) await abandon(at, one, signal);
  }
  const there = new Map<number, string>();
  await eachPage(at, { key, query: { uploadId: newest.id } }, ["part-number-marker"], signal, (node) => {
    if (node.name === "Part") there.set(Number(textOf(node, "PartNumber")), unquoted(textOf(node, "ETag")));
  });
  return { id: newest.id, there };
}

async function begin(at: Address, signal: AbortSignal): Promise<string> {
  const url = signed(at, { method: "POST", key: keyOf(at), query: { uploads: "" } });
  const { text } = await curl(
    at,
    {
      options: [
        ["url", url],
        ["request", "POST"],
      ],
    },
    signal,
  );
  const id = textOf(readXmlTree(text), "UploadId");
  if (id !== "") return id;
  throw failed(at, "the store gave no name to an upload in parts");
}

async function abandon(at: Address, { key, id }: Begun, signal: AbortSignal): Promise<void> {
  try {
    await removeAt(at, { key, query: { uploadId: id } }, signal);
  } catch (cause) {
    // It is over already.
    if (statusIn(cause) !== 404) throw cause;
  }
}

/** The server refuses what arrived otherwise, and says what it has: both must be what was meant. */
async function send(
  { file, at, watch }: Upload,
  uploadId: string,
  part: Part,
  md5: Buffer,
  signal: AbortSignal,
): Promise<string> {
  const query = { partNumber: String(part.number), uploadId };
  const url = signed(at, { method: "PUT", key: keyOf(at), query });
  const content = createReadStream(file, { start: part.start, end: part.end, highWaterMark: 1024 * 1024 });
  const look = (): void => watch.tell(part.start + content.bytesRead);
  const header: CurlOption = ["header", `Content-MD5: ${md5.toString("base64")}`];
  const length = part.end + 1 - part.start;
  const { text } = await sendInput(
    { at, url, content, length, look, more: [header, ["include", true]] },
    signal,
  );
  const tag = unquoted(/^etag:[ \t]*(.*?)[ \t]*$/im.exec(text)?.[1] ?? "");
  // The tag of one that the store encrypts with a key of its own is no MD5.
  if (tag === "" || (/^[0-9a-f]{32}$/.test(tag) && tag !== md5.toString("hex")))
    throw failed(at, `part ${part.number} arrived as "${tag}", ${md5.toString("hex")} was sent`);
  return tag;
}

async function putTogether(
  at: Address,
  uploadId: string,
  tags: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const parts = tags.map(
    (tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>"${tag}"</ETag></Part>`,
  );
  const body = Buffer.from(`<CompleteMultipartUpload>${parts.join("")}</CompleteMultipartUpload>`);
  const url = signed(at, { method: "POST", key: keyOf(at), query: { uploadId } });
  const more: CurlOption[] = [["request", "POST"]];
  const content = Readable.from([body], { objectMode: false });
  const { text } = await sendInput({ at, url, content, length: body.length, more }, signal);
  // It begins to answer before it is through, so that it may tell of a failure with the status of a success.
  const answer = readXmlTree(text);
  if (answer.name !== "CompleteMultipartUploadResult")
    throw failed(at, `the store did not put it together: ${textOf(answer, "Message")}`);
}

type Sent = {
  readonly at: Address;
  readonly url: string;
  readonly content: Readable;
  readonly length: number;
  readonly more: readonly CurlOption[];
  readonly look?: () => void;
};

/** S3 wants to know the length before, and curl cannot see that of a pipe. */
async function sendInput(
  { at, url, content, length, more, look }: Sent,
  signal: AbortSignal,
): Promise<CurlAnswer> {
  const options: CurlOption[] = [
    ["url", url],
    ["upload-file", inputFile],
    ["header", "Transfer-Encoding:"],
    ["header", `Content-Length: ${length}`],
    ["header", "Expect:"],
    ...more,
  ];
  try {
    return await curl(at, { options, input: content, ...(look === undefined ? {} : { look }) }, signal);
  } finally {
    content.destroy();
  }
}

/** Below a key; none where the server cannot tell. */
async function uploadsBegun(at: Address, prefix: string, signal: AbortSignal): Promise<readonly Begun[]> {
  const found: Begun[] = [];
  const markers = ["key-marker", "upload-id-marker"];
  try {
    await eachPage(at, { key: "", query: { uploads: "", prefix } }, markers, signal, (node) => {
      if (node.name !== "Upload") return;
      const initiatedMs = Date.parse(textOf(node, "Initiated"));
      found.push({ key: textOf(node, "Key"), id: textOf(node, "UploadId"), initiatedMs });
    });
  } catch (cause) {
    // Not every server keeps such a list, and not every key may see it.
    if (![400, 403, 405, 501].includes(statusIn(cause))) throw cause;
  }
  return found;
}

async function eachPage(
  at: Address,
  { key, query }: { readonly key: string; readonly query: Readonly<Record<string, string>> },
  markers: readonly string[],
  signal: AbortSignal,
  take: (node: Element) => void,
): Promise<void> {
  let from: Readonly<Record<string, string>> = {};
  for (let page = 0; page < pagesMax; page += 1) {
    const url = signed(at, { method: "GET", key, query: { ...query, ...from } });
    const answer = readXmlTree((await curl(at, { options: [["url", url]] }, signal)).text);
    for (const node of answer.children) take(node);
    if (textOf(answer, "IsTruncated") !== "true") return;
    from = Object.fromEntries(markers.map((name) => [name, textOf(answer, nextOf(name))]));
  }
  throw failed(at, "the store's list of what was sent in part does not end");
}

/** "upload-id-marker" → "NextUploadIdMarker". */
const nextOf = (marker: string): string =>
  `Next${marker.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())}`;

export function partsOf(size: number): readonly Part[] {
  const { transferS3PartBytes, transferS3PartsMax } = transferLimits;
  const length = transferS3PartBytes * Math.ceil(size / (transferS3PartBytes * transferS3PartsMax));
  return Array.from({ length: Math.ceil(size / length) }, (_, index) => ({
    number: index + 1,
    start: index * length,
    end: Math.min(size, (index + 1) * length) - 1,
  }));
}

const textOf = ({ children }: Element, name: string): string =>
  children.find((one) => one.name === name)?.text ?? "";

const unquoted = (tag: string): string => tag.replace(/^"|"$/g, "");

const statusIn = (cause: unknown): number =>
  ((cause instanceof ConsortError ? cause.details : {}) as { status?: number }).status ?? 0;

/** What is there goes on being there: the next attempt keeps it. */
const failed = (at: Address, why: string): ConsortError =>
  new ConsortError("unavailable", `Cannot upload to s3://${at.authority}${at.path}: ${why}`);
