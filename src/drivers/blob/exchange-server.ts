import { createHash, timingSafeEqual } from "node:crypto";
import { open } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { codeOf, ConsortError, errorTable, messageOf } from "#base/errors.ts";
import { ipv4Address } from "#base/ids.ts";
import type { Log } from "#base/runtime.ts";
import { bytes } from "#base/units.ts";
import { createServer } from "#drivers/system/http.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import { isDigest } from "./digests.ts";
import { blobLimits } from "./limits.ts";
import type { BlobPeer, BlobStore } from "./port.ts";
import { framesOf } from "./run-frames.ts";

const readBytes = 256 * 1024;
const requestBytesMax = 4096;
/** Shorter than what counts as silence. */
const signOfLifeMs = blobLimits.blobPeerSilenceMsMax / 5;

export type ServerParts = {
  readonly store: BlobStore;
  readonly log: Log;
  /** Undefined: nobody is served yet. */
  readonly token: () => string | undefined;
  /** Somebody asks this host to get a blob from a peer. */
  readonly fetch: (blob: BlobRef, from: BlobPeer, signal: AbortSignal) => Promise<number>;
};

/**
 *   GET  /v1/blobs/<digest>         with a range; answers frames (run-frames.ts)
 *   POST /v1/blobs/<digest>/fetch   {sizeBytes, address, port}: get it from there; answers when it is durable here,
 *                                   with {broughtBytes}: what came over the line for it
 */
export function blobServer(parts: ServerParts): Server {
  const server = createServer((request, response) => {
    const gone = new AbortController();
    response.once("close", () => gone.abort(new ConsortError("cancelled", "The other host hung up")));
    answer(parts, request, response, gone.signal).catch((cause: unknown) => {
      if (gone.signal.aborted) return;
      parts.log.debug("Cannot serve a blob", { cause });
      if (response.headersSent) response.destroy();
      else refuse(response, cause);
    });
  });
  server.maxConnections = blobLimits.blobConnectionsMax;
  server.setTimeout(blobLimits.blobPeerSilenceMsMax);
  return server;
}

async function answer(
  parts: ServerParts,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  if (!knowsToken(request.headers.authorization, parts.token()))
    throw new ConsortError("unauthenticated", "Cannot serve blobs: the cloud's token was wanted");
  const [, digest = "", verb] =
    /^\/v1\/blobs\/([^/?]*)(?:\/(fetch))?$/.exec(decodeURIComponent(request.url ?? "")) ?? [];
  if (!isDigest(digest)) throw new ConsortError("not_found", "Cannot serve this: no such blob");
  if (request.method === "GET" && verb === undefined)
    return serve(parts.store, digest, request, response, signal);
  if (request.method === "POST" && verb === "fetch") return take(parts, digest, request, response, signal);
  throw new ConsortError("bad_input", "Cannot serve this: GET of a blob, or POST to fetch it, was wanted");
}

async function serve(
  store: BlobStore,
  digest: Digest,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(store.path(digest), "r");
  try {
    const { size } = await file.stat();
    const [, first = "", last = ""] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(request.headers.range ?? "") ?? [];
    const [begin, end] = [Number(first), Number(last) + 1];
    if (first === "" || begin >= end || end > size)
      throw new ConsortError(
        "bad_input",
        `Cannot serve ${digest}: a range within its ${size} bytes was wanted`,
      );
    response.writeHead(206, { "content-type": "application/octet-stream" });
    const frames = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = begin; at < end;) {
        const { bytesRead, buffer } = await file.read(
          Buffer.allocUnsafe(Math.min(readBytes, end - at)),
          0,
          Math.min(readBytes, end - at),
          at,
        );
        if (bytesRead === 0)
          throw new ConsortError("internal", `Cannot serve ${digest}: its file is too short`);
        yield* framesOf(buffer.subarray(0, bytesRead), at);
        at += bytesRead;
      }
    };
    await pipeline(Readable.from(frames(), { objectMode: false }), response, { signal });
  } finally {
    await file.close();
  }
}

/** Answers with blanks while it goes on, so that both see that the other is there, and then with how it ended. */
async function take(
  parts: ServerParts,
  digest: Digest,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { sizeBytes, address, port } = await fetchRequest(request);
  response.writeHead(200, { "content-type": "application/json" });
  const alive = setInterval(() => response.write(" "), signOfLifeMs);
  response.write(" ");
  try {
    const blob = { digest, sizeBytes: bytes(sizeBytes) };
    const broughtBytes = await parts.fetch(blob, { address: ipv4Address(address), port }, signal);
    response.end(JSON.stringify({ broughtBytes }));
  } catch (cause) {
    signal.throwIfAborted();
    response.end(JSON.stringify({ code: codeOf(cause), message: messageOf(cause) }));
  } finally {
    clearInterval(alive);
  }
}

async function fetchRequest(
  request: IncomingMessage,
): Promise<{ sizeBytes: number; address: string; port: number }> {
  let text = "";
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > requestBytesMax) break;
  }
  try {
    const { sizeBytes, address, port } = JSON.parse(text) as Record<string, unknown>;
    if (Number.isSafeInteger(sizeBytes) && typeof address === "string" && Number.isInteger(port))
      return { sizeBytes: Number(sizeBytes), address, port: Number(port) };
  } catch {
    // Told below.
  }
  throw new ConsortError("bad_input", "Cannot fetch a blob: its size, and an address and port, were wanted");
}

function refuse(response: ServerResponse, cause: unknown): void {
  const code = codeOf(cause);
  response.writeHead(errorTable[code].http, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify({ code, message: messageOf(cause) }));
}

/** Takes as long for a token that is nearly right as for any other. */
function knowsToken(header: string | undefined, token: string | undefined): boolean {
  if (token === undefined) return false;
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(header ?? ""), digest(`Bearer ${token}`));
}
