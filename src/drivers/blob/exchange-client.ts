import type { Agent, IncomingMessage } from "node:http";
import { codeOf, ConsortError, errorTable, messageOf } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import { request } from "#drivers/system/http.ts";
import type { BlobRef, Digest } from "#model/image.ts";
import { blobLimits } from "./limits.ts";
import type { PieceRange } from "./piece-file.ts";
import type { BlobPeer } from "./port.ts";
import { FrameReader } from "./run-frames.ts";

const answerBytesMax = 64 * 1024;

/** What one host asks of another about blobs. */
export class PeerClient {
  readonly #agent: Agent;
  readonly #token: () => string | undefined;

  constructor(agent: Agent, token: () => string | undefined) {
    this.#agent = agent;
    this.#token = token;
  }

  /**
   * Reads a range; what is not handed to `onData` is holes. Rejects with `not_found` when the peer has no such blob, and
   * with `timeout` when it says nothing for `silenceMsMax`, also before it has taken the connection.
   */
  async read(
    digest: Digest,
    { begin, sizeBytes }: PieceRange,
    from: BlobPeer,
    onData: (chunk: Uint8Array, position: number) => Promise<void>,
    onProgress: (moreBytes: number) => void,
    silenceMsMax: number,
    signal: AbortSignal,
  ): Promise<void> {
    const range = `bytes=${begin}-${begin + sizeBytes - 1}`;
    const response = await this.#ask(
      "GET",
      `/v1/blobs/${digest}`,
      from,
      { headers: { range }, silenceMsMax },
      signal,
    );
    if (response.statusCode !== 206) throw await refusal(response, from);
    const frames = new FrameReader();
    let done = 0;
    for await (const chunk of arriving(response, from)) {
      for (const run of frames.read(chunk)) {
        const size = run.kind === "data" ? run.bytes.length : run.sizeBytes;
        if (done + size > sizeBytes) throw broken(from, "more came than was asked for");
        if (run.kind === "data") await onData(run.bytes, begin + done);
        done += size;
        onProgress(size);
      }
    }
    if (done < sizeBytes) throw broken(from, "the content ended early");
  }

  /** The peer fetches the blob from `source`, and has it when this resolves: with how many bytes it was sent for it. */
  async askToFetch(blob: BlobRef, to: BlobPeer, source: BlobPeer, signal: AbortSignal): Promise<number> {
    const body = JSON.stringify({ sizeBytes: blob.sizeBytes, ...source });
    const response = await this.#ask("POST", `/v1/blobs/${blob.digest}/fetch`, to, { body }, signal);
    if (response.statusCode !== 200) throw await refusal(response, to);
    const text = await textOf(response);
    const failure = parseFailure(text);
    if (failure !== undefined) throw failure;
    const { broughtBytes } = JSON.parse(text) as { broughtBytes?: unknown };
    // Those who do not tell are not counted: what they had may be all of it.
    return typeof broughtBytes === "number" && broughtBytes <= blob.sizeBytes ? broughtBytes : 0;
  }

  #ask(
    method: string,
    path: string,
    { address, port }: BlobPeer,
    options: { headers?: Record<string, string>; body?: string; silenceMsMax?: number },
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      let answer: IncomingMessage | undefined;
      const asked = request({
        agent: this.#agent,
        host: address,
        port,
        method,
        path,
        headers: { ...options.headers, authorization: `Bearer ${this.#token() ?? ""}` },
        timeout: options.silenceMsMax ?? blobLimits.blobPeerSilenceMsMax,
        signal,
      });
      asked.once("timeout", () => {
        const silent = new ConsortError("timeout", whyNot({ address, port }, "it says nothing"));
        answer?.destroy(silent);
        asked.destroy(silent);
      });
      asked.once("error", (cause) => {
        if (signal.aborted) reject(signal.reason);
        else reject(codeOf(cause) === "internal" ? broken({ address, port }, messageOf(cause)) : cause);
      });
      asked.once("response", (response) => {
        answer = response;
        resolve(response);
      });
      asked.end(options.body);
    });
  }
}

/** A line that breaks is the peer's failure; a disk that is full is not. */
async function* arriving(response: IncomingMessage, from: BlobPeer): AsyncGenerator<Uint8Array> {
  const chunks = response[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await chunks.next().catch((cause: unknown) => {
        throw codeOf(cause) === "internal" ? broken(from, messageOf(cause)) : cause;
      });
      if (next.done === true) return;
      yield next.value as Uint8Array;
    }
  } finally {
    response.destroy();
  }
}

const whyNot = ({ address, port }: BlobPeer, why: string): string =>
  `Cannot read from the host at ${address}:${port}: ${why}`;

const broken = (peer: BlobPeer, why: string): ConsortError =>
  new ConsortError("unavailable", whyNot(peer, why));

async function refusal(response: IncomingMessage, { address, port }: BlobPeer): Promise<ConsortError> {
  const told = parseFailure(await textOf(response).catch(() => ""));
  const where = `the host at ${address}:${port} answered ${response.statusCode}`;
  return new ConsortError(
    told?.code ?? "unavailable",
    `Cannot use ${where}: ${told?.message ?? "no reason given"}`,
  );
}

/** Undefined when the text tells of success. */
function parseFailure(text: string): ConsortError | undefined {
  try {
    const { code, message } = JSON.parse(text) as { code?: unknown; message?: unknown };
    if (code === undefined) return undefined;
    const known = typeof code === "string" && Object.hasOwn(errorTable, code);
    return new ConsortError(known ? (code as ErrorCode) : "unavailable", String(message));
  } catch {
    return new ConsortError("unavailable", "Cannot hand over a blob: the other host's answer was cut off");
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > answerBytesMax) break;
  }
  return text;
}
