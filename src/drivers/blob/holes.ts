/** Zeros in whole blocks of a file need no space: not written at all, they are a hole, which reads as zeros. */
export const blockBytes = 4096;

const zeros = Buffer.alloc(blockBytes);

export type DataRun = { readonly at: number; readonly bytes: Uint8Array };

/** What of `chunk`, which begins at `position` of a file, must be written; the rest is whole blocks of zeros. */
export function* dataRuns(chunk: Uint8Array, position: number): Generator<DataRun> {
  let begin: number | undefined;
  let offset = 0;
  while (offset < chunk.length) {
    const blockEnd = offset + blockBytes - ((position + offset) % blockBytes);
    const end = Math.min(blockEnd, chunk.length);
    const isHole = end - offset === blockBytes && isZero(chunk.subarray(offset, end));
    if (isHole && begin !== undefined) {
      yield { at: position + begin, bytes: chunk.subarray(begin, offset) };
      begin = undefined;
    }
    if (!isHole) begin ??= offset;
    offset = end;
  }
  if (begin !== undefined) yield { at: position + begin, bytes: chunk.subarray(begin) };
}

function isZero(block: Uint8Array): boolean {
  return Buffer.compare(block, block.length === blockBytes ? zeros : zeros.subarray(0, block.length)) === 0;
}
