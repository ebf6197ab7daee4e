import { ConsortError } from "#base/errors.ts";
import { bytes, formatBytes } from "#base/units.ts";
import type { DiskFacts } from "./port.ts";
import { imageLimits } from "./limits.ts";

/** What is read of a disk to tell what it is. */
export const headerBytes = 4096;

const qcow2Magic = 0x514649fb;
/** Bits of what a reader must understand; all others are unknown to us. */
const dirtyBit = 1n;
const externalDataBit = 4n;
const compressionBit = 8n;
const extendedEntriesBit = 16n;
const understood = dirtyBit | compressionBit | extendedEntriesBit;
const sectorBytes = 512;

const foreign: readonly [text: string, name: string][] = [
  ["KDMV", "VMDK"],
  ["COWD", "VMDK"],
  ["# Disk DescriptorFile", "VMDK"],
  ["vhdxfile", "VHDX"],
  ["conectix", "VHD"],
  ["<<< Oracle VM VirtualBox Disk Image", "VDI"],
  ["LUKS", "an encrypted volume"],
  ["\u001f\u008b", "compressed with gzip (its address must end in .gz)"],
  ["\u0028\u00b5\u002f\u00fd", "compressed with zstd (its address must end in .zst)"],
  ["\u00fd7zXZ", "compressed with xz"],
];

/**
 * Tells what a disk is from its beginning and its size in bytes, by QEMU's documentation of the format. A qcow2 that
 * names another file, which QEMU would open with its own rights, is refused before any program looks at it.
 * @throws bad_input
 */
export function diskFactsOf(header: Uint8Array, sizeBytes: number): DiskFacts {
  const view = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
  if (view.length >= 4 && view.readUInt32BE(0) === qcow2Magic) {
    return { format: "qcow2", virtualBytes: checkedSize(qcow2Size(view)) };
  }
  const found = foreign.find(([text]) => view.subarray(0, text.length).equals(Buffer.from(text, "latin1")));
  if (found !== undefined)
    throw refused(`it is ${found[1]}; raw or qcow2 was wanted: qemu-img convert -O qcow2`);
  if (sizeBytes === 0 || sizeBytes % sectorBytes !== 0)
    throw refused(`it has ${sizeBytes} bytes; a raw disk is made of blocks of ${sectorBytes}`);
  return { format: "raw", virtualBytes: checkedSize(sizeBytes) };
}

function qcow2Size(view: Buffer): number {
  if (view.length < 104) throw refused("it is cut off within its header");
  const version = view.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw refused(`it is of version ${version}; 2 or 3 was wanted`);
  if (view.readBigUInt64BE(8) !== 0n)
    throw refused("it has a backing file; one that stands alone was wanted: qemu-img convert");
  if (view.readUInt32BE(32) !== 0) throw refused("it is encrypted");
  if (version === 3) {
    const features = view.readBigUInt64BE(72);
    if ((features & externalDataBit) !== 0n)
      throw refused("it keeps its data in another file; one that stands alone was wanted");
    if ((features & ~understood) !== 0n)
      throw refused(`it has features that are not known: ${features.toString(2)}`);
    checkExtensions(view);
  }
  const size = view.readBigUInt64BE(24);
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw refused("its disk is too large for anything");
  return Number(size);
}

const externalData = 0x44415441;

/** Parts of the header that name files. */
function checkExtensions(view: Buffer): void {
  let at = view.readUInt32BE(100);
  for (;;) {
    if (at + 8 > view.length) return;
    const [kind, length] = [view.readUInt32BE(at), view.readUInt32BE(at + 4)];
    if (kind === 0) return;
    if (kind === externalData) throw refused("it names another file; one that stands alone was wanted");
    at += 8 + Math.ceil(length / 8) * 8;
  }
}

function checkedSize(size: number): DiskFacts["virtualBytes"] {
  if (size > 0 && size <= imageLimits.diskBytesMax) return bytes(size);
  const most = formatBytes(bytes(imageLimits.diskBytesMax));
  throw refused(`its disk has ${formatBytes(bytes(size))}; more than none and at most ${most} was wanted`);
}

const refused = (why: string): ConsortError => new ConsortError("bad_input", `Cannot use this disk: ${why}`);
