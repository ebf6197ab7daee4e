import { bytes, mebibytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";

/** What QEMU itself takes, whatever its guest does. */
const emulatorBytes = mebibytes(64);
/** For each processor it may have: each has a part of its own. */
const translationBytesPerCpu = mebibytes(16);
/** A kernel's boot fits: with half of it, what was translated is thrown away on the way and a boot takes a third longer. */
const translationBytesLeast = mebibytes(32);
const translationBytesMax = mebibytes(128);
/** Of the guest's memory: a small guest runs little code. */
const translationShare = 1 / 8;

/** Room for translated code of an emulated machine, in whole MiB. */
export function translationBytes(memoryBytes: Bytes, vcpusMax: number): Bytes {
  const byMemory = Math.min(translationBytesMax, memoryBytes * translationShare);
  const wanted = Math.max(translationBytesLeast, translationBytesPerCpu * vcpusMax, byMemory);
  return bytes(Math.ceil(wanted / mebibytes(1)) * mebibytes(1));
}

/** What a machine with so much memory may take of its host's at most: what is promised, and never exceeded. */
export function hostMemoryOf(machine: { readonly memoryBytes: Bytes; readonly vcpusMax: number }): Bytes {
  const { memoryBytes, vcpusMax } = machine;
  // Counted for an accelerated one too: where it will run is not known when it is placed.
  return bytes(memoryBytes + emulatorBytes + translationBytes(memoryBytes, vcpusMax));
}
