import { Buffer } from "node:buffer";

/** Of the legacy frame that kernels are compressed with; behind it come blocks, each with its length before it. */
const magic = 0x184c2102;
const blockBytesMax = 8 * 1024 * 1024;
const matchBytesLeast = 4;

export const isLz4 = (content: Buffer): boolean =>
  content.length > magicBytes && content.readUInt32LE(0) === magic;

const magicBytes = 4;

/** What a legacy LZ4 frame holds. @throws RangeError when it is damaged or has no end within `content` */
export function unpackLz4(content: Buffer): Buffer {
  const blocks: Buffer[] = [];
  let at = magicBytes;
  while (at + 4 <= content.length) {
    const size = content.readUInt32LE(at);
    at += 4;
    // Kernels have the size of what was packed behind the last block.
    if (size === 0 || at + size > content.length) break;
    blocks.push(unpackBlock(content.subarray(at, at + size)));
    at += size;
  }
  return Buffer.concat(blocks);
}

/** Sequences of what is new and what is repeated: see the LZ4 block format. */
function unpackBlock(block: Buffer): Buffer {
  const out = Buffer.allocUnsafe(blockBytesMax);
  let from = 0;
  let to = 0;
  const byte = (): number => {
    const value = block[from];
    if (value === undefined) throw new RangeError("an LZ4 block ends too early");
    from += 1;
    return value;
  };
  const length = (nibble: number): number => {
    let total = nibble;
    if (nibble < 15) return total;
    let more = 255;
    while (more === 255) {
      more = byte();
      total += more;
    }
    return total;
  };
  while (from < block.length) {
    const token = byte();
    const newBytes = length(token >> 4);
    if (from + newBytes > block.length || to + newBytes > out.length)
      throw new RangeError("an LZ4 block is damaged");
    block.copy(out, to, from, from + newBytes);
    from += newBytes;
    to += newBytes;
    // The last sequence repeats nothing.
    if (from >= block.length) break;
    const back = byte() | (byte() << 8);
    const repeated = length(token & 15) + matchBytesLeast;
    if (back === 0 || back > to || to + repeated > out.length)
      throw new RangeError("an LZ4 block is damaged");
    // It may overlap with what it makes.
    if (back >= repeated) out.copyWithin(to, to - back, to - back + repeated);
    else for (let index = 0; index < repeated; index += 1) out[to + index] = out[to + index - back] ?? 0;
    to += repeated;
  }
  return out.subarray(0, to);
}
