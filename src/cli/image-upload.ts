import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { ConsortError } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { bytes } from "#base/units.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { reasonOf } from "#cli/ensemble-file.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import type { UploadResult } from "#protocol/topics.ts";

/**
 * Brings a file's content to a host of the cloud, in parts. What an earlier attempt brought is not sent again, whoever
 * was killed meanwhile: the host tells where to go on. Resolves when it is durable there.
 */
export async function uploadFile(
  client: Client,
  path: string,
  onProgress: (doneBytes: number, totalBytes: number) => void,
  signal: AbortSignal,
): Promise<BlobRef> {
  const file = await open(path, "r").catch((cause: unknown) => {
    throw new ConsortError("bad_input", `Cannot upload ${path}: ${reasonOf(cause)}`, { cause });
  });
  try {
    const seen = await file.stat();
    if (!seen.isFile()) throw new ConsortError("bad_input", `Cannot upload ${path}: it is no file`);
    const blob: BlobRef = { digest: await digestOf(path, signal), sizeBytes: bytes(seen.size) };
    // What is there already is asked with an empty part.
    let { haveBytes, complete } = await send(client, blob, 0, nothing, signal);
    while (!complete) {
      onProgress(haveBytes, blob.sizeBytes);
      const part = await nextPart(file, blob.sizeBytes, haveBytes);
      if (part === undefined)
        throw new ConsortError("conflict", `Cannot upload ${path}: it became shorter meanwhile`);
      ({ haveBytes, complete } = await send(client, blob, haveBytes, part, signal));
    }
    onProgress(blob.sizeBytes, blob.sizeBytes);
    return blob;
  } finally {
    await file.close();
  }
}

type Part = { readonly data: Uint8Array; readonly zeroBytes: number };

const nothing: Part = { data: new Uint8Array(0), zeroBytes: 0 };
const zeros = Buffer.alloc(limits.uploadPartBytes);

/** What comes there: data, or as many zeros as there are, which are only told. Undefined: the file has become shorter. */
async function nextPart(file: FileHandle, sizeBytes: number, fromByte: number): Promise<Part | undefined> {
  let zeroBytes = 0;
  for (;;) {
    const at = fromByte + zeroBytes;
    const data = Buffer.alloc(Math.min(limits.uploadPartBytes, sizeBytes - at));
    const { bytesRead } = await file.read(data, 0, data.length, at);
    if (bytesRead < data.length) return undefined;
    const isZero = data.length > 0 && data.equals(zeros.subarray(0, data.length));
    if (!isZero && zeroBytes === 0) return { data, zeroBytes };
    if (!isZero || zeroBytes + data.length > limits.uploadZeroBytesMax)
      return { data: nothing.data, zeroBytes };
    zeroBytes += data.length;
  }
}

function send(
  client: Client,
  { digest, sizeBytes }: BlobRef,
  fromByte: number,
  { data, zeroBytes }: Part,
  signal: AbortSignal,
): Promise<UploadResult> {
  const dataBase64 = Buffer.from(data).toString("base64");
  const body = { sizeBytes, fromByte, dataBase64, ...(zeroBytes === 0 ? {} : { zeroBytes }) };
  return client.request<UploadResult>("PUT", route`/v1/uploads/${digest}`, signal, body);
}

async function digestOf(path: string, signal: AbortSignal): Promise<Digest> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  for await (const chunk of file.createReadStream({ highWaterMark: 1024 * 1024, signal }))
    hash.update(chunk as Buffer);
  return `sha256:${hash.digest("hex")}`;
}
