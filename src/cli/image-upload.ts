import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
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
    let { haveBytes, complete } = await send(client, blob, 0, new Uint8Array(0), signal);
    while (!complete) {
      onProgress(haveBytes, blob.sizeBytes);
      const part = Buffer.alloc(Math.min(limits.uploadPartBytes, blob.sizeBytes - haveBytes));
      const { bytesRead } = await file.read(part, 0, part.length, haveBytes);
      if (bytesRead < part.length)
        throw new ConsortError("conflict", `Cannot upload ${path}: it became shorter meanwhile`);
      ({ haveBytes, complete } = await send(client, blob, haveBytes, part, signal));
    }
    onProgress(blob.sizeBytes, blob.sizeBytes);
    return blob;
  } finally {
    await file.close();
  }
}

function send(
  client: Client,
  { digest, sizeBytes }: BlobRef,
  fromByte: number,
  part: Uint8Array,
  signal: AbortSignal,
): Promise<UploadResult> {
  const body = { sizeBytes, fromByte, dataBase64: Buffer.from(part).toString("base64") };
  return client.request<UploadResult>("PUT", route`/v1/uploads/${digest}`, signal, body);
}

async function digestOf(path: string, signal: AbortSignal): Promise<Digest> {
  const hash = createHash("sha256");
  const file = await open(path, "r");
  for await (const chunk of file.createReadStream({ highWaterMark: 1024 * 1024, signal }))
    hash.update(chunk as Buffer);
  return `sha256:${hash.digest("hex")}`;
}
