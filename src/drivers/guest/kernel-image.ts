import { Buffer } from "node:buffer";
import { isLz4, unpackLz4 } from "./lz4.ts";

/**
 * A kernel as Debian packs it unpacks itself before anything else, which takes an emulated processor a fifth of a second;
 * what is in it is an ELF program, which QEMU begins where the note named PVH says. Here it is unpacked once, and what no
 * boot reads is left out. A kernel that is packed in a way not known here, or has no such note, stays as it is: it boots, too.
 */
export function unpackedKernel(kernel: Buffer): Buffer {
  const payload = payloadOf(kernel);
  if (payload === undefined || !isLz4(payload)) return kernel;
  const program = unpackLz4(payload);
  return isElf(program) && hasEntryNote(program) ? withoutPadding(program) : kernel;
}

const sectorBytes = 512;
const magicAt = 0x202;
const magic = "HdrS";
const payloadAt = 0x248;

/** Of a bzImage: its header tells where, counted from behind the real-mode part. */
function payloadOf(kernel: Buffer): Buffer | undefined {
  if (kernel.toString("latin1", magicAt, magicAt + magic.length) !== magic) return undefined;
  const setupBytes = ((kernel[0x1f1] ?? 0) + 1) * sectorBytes;
  const from = setupBytes + kernel.readUInt32LE(payloadAt);
  return kernel.subarray(from, from + kernel.readUInt32LE(payloadAt + 4));
}

const headerBytes = 64;
const segmentBytes = 56;
const [loaded, note] = [1, 4];
const entryNote = 18;
/** Of what is loaded within the file: it is mapped. */
const alignment = 4096;

const isElf = (program: Buffer): boolean =>
  program.toString("latin1", 0, 4) === "\x7fELF" && program[4] === 2;

/** A program header: what is where in the file, and where it goes. */
type Segment = {
  readonly header: Buffer;
  readonly kind: number;
  readonly offset: number;
  readonly address: bigint;
  readonly fileBytes: number;
};

function segmentsOf(program: Buffer): readonly Segment[] {
  const from = Number(program.readBigUInt64LE(0x20));
  return Array.from({ length: program.readUInt16LE(0x38) }, (_, index) => {
    const header = program.subarray(from + index * segmentBytes, from + (index + 1) * segmentBytes);
    return {
      header,
      kind: header.readUInt32LE(0),
      offset: Number(header.readBigUInt64LE(8)),
      address: header.readBigUInt64LE(0x18),
      fileBytes: Number(header.readBigUInt64LE(0x20)),
    };
  });
}

function hasEntryNote(program: Buffer): boolean {
  return segmentsOf(program)
    .filter(({ kind }) => kind === note)
    .some(({ offset, fileBytes }) =>
      typesOf(program.subarray(offset, offset + fileBytes)).includes(entryNote),
    );
}

/** Of notes: lengths of name and content, type, then both, each filled up to four bytes. */
function typesOf(notes: Buffer): readonly number[] {
  const types: number[] = [];
  const filled = (size: number): number => Math.ceil(size / 4) * 4;
  for (let at = 0; at + 12 <= notes.length;) {
    types.push(notes.readUInt32LE(at + 8));
    at += 12 + filled(notes.readUInt32LE(at)) + filled(notes.readUInt32LE(at + 4));
  }
  return types;
}

/** The same program: only what is loaded, without the zeros it ends with, and its notes. */
function withoutPadding(program: Buffer): Buffer {
  const all = segmentsOf(program);
  const kept = all.filter(({ kind }) => kind === loaded);
  const notes = all.filter(({ kind }) => kind === note);
  const parts: Buffer[] = [];
  const headers: Buffer[] = [];
  let at = headerBytes + (kept.length + notes.length) * segmentBytes;
  for (const { header, offset, fileBytes } of [...kept, ...notes]) {
    const content = withoutZeros(program.subarray(offset, offset + fileBytes));
    const padding = Buffer.alloc(Math.ceil(at / alignment) * alignment - at);
    const changed = Buffer.from(header);
    changed.writeBigUInt64LE(BigInt(at + padding.length), 8);
    changed.writeBigUInt64LE(BigInt(content.length), 0x20);
    headers.push(changed);
    parts.push(padding, content);
    at += padding.length + content.length;
  }
  const first = Buffer.from(program.subarray(0, headerBytes));
  first.writeBigUInt64LE(BigInt(headerBytes), 0x20);
  // It has no sections: nothing that is loaded is found by them.
  first.writeBigUInt64LE(0n, 0x28);
  first.writeUInt16LE(headers.length, 0x38);
  first.writeUInt32LE(0, 0x3c);
  return Buffer.concat([first, ...headers, ...parts]);
}

function withoutZeros(content: Buffer): Buffer {
  let end = content.length;
  while (end > 0 && content[end - 1] === 0) end -= 1;
  // Notes are read in words.
  return content.subarray(0, Math.min(content.length, Math.ceil(end / 8) * 8));
}
