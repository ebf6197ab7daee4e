import { ConsortError } from "#base/errors.ts";
import { dataRuns } from "./holes.ts";

/**
 * Content on its way between hosts, where holes cost five bytes: frames of a kind (1 byte), a length (4 bytes, big end
 * first) and, for data, that many bytes.
 */
const dataKind = 0;
const holeKind = 1;
const headBytes = 5;

export type Run =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "hole"; readonly sizeBytes: number };

/** Frames for a chunk that begins at `position` of its file. */
export function* framesOf(chunk: Uint8Array, position: number): Generator<Uint8Array> {
  let end = position;
  for (const { at, bytes } of dataRuns(chunk, position)) {
    if (at > end) yield head(holeKind, at - end);
    yield head(dataKind, bytes.length);
    yield bytes;
    end = at + bytes.length;
  }
  const rest = position + chunk.length - end;
  if (rest > 0) yield head(holeKind, rest);
}

/** Takes frames in as they come, cut anywhere. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array(0);
  #dataLeft = 0;

  /** @throws driver_failed for what is no frame */
  *read(chunk: Uint8Array): Generator<Run> {
    let input = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (input.length > 0) {
      if (this.#dataLeft > 0) {
        const bytes = input.subarray(0, this.#dataLeft);
        this.#dataLeft -= bytes.length;
        input = input.subarray(bytes.length);
        yield { kind: "data", bytes };
        continue;
      }
      if (input.length < headBytes) break;
      const view = new DataView(input.buffer, input.byteOffset, headBytes);
      const [kind, sizeBytes] = [view.getUint8(0), view.getUint32(1)];
      input = input.subarray(headBytes);
      if (kind === dataKind) this.#dataLeft = sizeBytes;
      else if (kind === holeKind) yield { kind: "hole", sizeBytes };
      else
        throw new ConsortError(
          "driver_failed",
          `Cannot read content of another host: no frame has kind ${kind}`,
        );
    }
    this.#rest = input;
  }
}

function head(kind: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(headBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, sizeBytes);
  return bytes;
}
