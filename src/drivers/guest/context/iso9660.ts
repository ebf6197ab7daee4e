import { Buffer } from "node:buffer";

export type DiscFile = { readonly name: string; readonly content: Uint8Array };

const sector = 2048;
const descriptorsAt = 16;
const pathTableAt = 18;
const rootAt = 20;

/**
 * A read-only disk with a few files in its root, in ISO 9660: small enough to be written by ourselves, and every guest
 * reads it. Names come out in lower case. The same files give the same bytes.
 */
export function isoDisk(label: string, files: readonly DiscFile[]): Uint8Array {
  const sorted = [...files].sort((a, b) => (stored(a.name) < stored(b.name) ? -1 : 1));
  const rootSectors = 1;
  let next = rootAt + rootSectors;
  const placed = sorted.map((file) => {
    const at = next;
    next += Math.max(1, Math.ceil(file.content.length / sector));
    return { ...file, at };
  });
  const disk = Buffer.alloc(next * sector);
  const root = Buffer.concat([
    directoryRecord(Buffer.from([0]), rootAt, sector, true),
    directoryRecord(Buffer.from([1]), rootAt, sector, true),
    ...placed.map(({ name, at, content }) =>
      directoryRecord(Buffer.from(stored(name)), at, content.length, false),
    ),
  ]);
  if (root.length > sector) throw new RangeError(`${files.length} files are too many for one disk`);
  volumeDescriptor(label, next).copy(disk, descriptorsAt * sector);
  Buffer.from([255, ...Buffer.from("CD001"), 1]).copy(disk, (descriptorsAt + 1) * sector);
  pathTable(false).copy(disk, pathTableAt * sector);
  pathTable(true).copy(disk, (pathTableAt + 1) * sector);
  root.copy(disk, rootAt * sector);
  for (const { at, content } of placed) Buffer.from(content).copy(disk, at * sector);
  return disk;
}

/** "meta-data" → "META-DATA.;1". */
function stored(name: string): string {
  return `${name.toUpperCase()}${name.includes(".") ? "" : "."};1`;
}

/** Numbers are there in both byte orders. */
function both16(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt16LE(value, 0);
  buffer.writeUInt16BE(value, 2);
  return buffer;
}
function both32(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeUInt32LE(value, 0);
  buffer.writeUInt32BE(value, 4);
  return buffer;
}

function directoryRecord(name: Buffer, at: number, size: number, isDirectory: boolean): Buffer {
  const length = 33 + name.length + ((33 + name.length) % 2);
  const record = Buffer.alloc(length);
  record.writeUInt8(length, 0);
  both32(at).copy(record, 2);
  both32(size).copy(record, 10);
  record.writeUInt8(isDirectory ? 2 : 0, 25);
  both16(1).copy(record, 28);
  record.writeUInt8(name.length, 32);
  name.copy(record, 33);
  return record;
}

function pathTable(bigEndian: boolean): Buffer {
  const table = Buffer.alloc(10);
  table.writeUInt8(1, 0);
  if (bigEndian) table.writeUInt32BE(rootAt, 2);
  else table.writeUInt32LE(rootAt, 2);
  if (bigEndian) table.writeUInt16BE(1, 6);
  else table.writeUInt16LE(1, 6);
  return table;
}

function volumeDescriptor(label: string, sectors: number): Buffer {
  const descriptor = Buffer.alloc(sector);
  descriptor.writeUInt8(1, 0);
  descriptor.write("CD001", 1);
  descriptor.writeUInt8(1, 6);
  descriptor.fill(" ", 8, 72);
  descriptor.write(label.slice(0, 32), 40);
  both32(sectors).copy(descriptor, 80);
  both16(1).copy(descriptor, 120);
  both16(1).copy(descriptor, 124);
  both16(sector).copy(descriptor, 128);
  both32(10).copy(descriptor, 132);
  descriptor.writeUInt32LE(pathTableAt, 140);
  descriptor.writeUInt32BE(pathTableAt + 1, 148);
  directoryRecord(Buffer.from([0]), rootAt, sector, true).copy(descriptor, 156);
  // Names of people, programs and files: none. Dates: none.
  descriptor.fill(" ", 190, 813);
  for (const at of [813, 830, 847, 864]) descriptor.fill("0", at, at + 16);
  descriptor.writeUInt8(1, 881);
  return descriptor;
}
