import { isFlag, isNumber, optional, readJson, shape } from "#base/shape.ts";
import { bytes, mebibytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { Qmp } from "./vm.ts";

/**
 * QEMU 7.2 loses what an emulated guest writes while its memory is sent. It notes written pages in bits, and looks at
 * them 64 at a time where a block of memory is made up of such groups; that way it forgets to tell its processors that a
 * bit was cleared, so that they do not set it again. What they wrote then never reaches the other side, whose guest goes
 * on with memory that was never like that (mended in QEMU 9.0: "Fix migration dirty bitmap coherency with TCG memory
 * access"). A block that is not made up of whole groups is looked at page by page, which is right.
 */
const groupBytes = 256 * 1024;
/** QEMU's own rounding of memory. */
const beyondBytes = 8 * 1024;

/** The memory a QEMU is started with for a machine of that size: whole mebibytes, and what keeps its pages looked at one by one. */
export function ramBytes(memoryBytes: number): Bytes {
  // Of a QEMU that was started so before.
  if (memoryBytes % mebibytes(1) === beyondBytes) return bytes(memoryBytes);
  return bytes(Math.ceil(memoryBytes / mebibytes(1)) * mebibytes(1) + beyondBytes);
}

const isKvm = shape({ enabled: isFlag });
const isSummary = shape({ "base-memory": isNumber, "plugged-memory": optional(isNumber) });

/**
 * Whether nothing is lost of what a guest writes while its state is sent. False: it has to be stopped first, as memory
 * was plugged in, which comes in whole groups, or as its QEMU was started by an earlier version.
 */
export async function tracksWrites(qmp: Qmp, signal: AbortSignal): Promise<boolean> {
  const ask = (command: string): Promise<unknown> => qmp.execute(command, {}, signal);
  if (readJson(JSON.stringify(await ask("query-kvm")), isKvm, "QEMU").enabled) return true;
  const memory = readJson(JSON.stringify(await ask("query-memory-size-summary")), isSummary, "QEMU");
  return memory["base-memory"] % groupBytes !== 0 && (memory["plugged-memory"] ?? 0) === 0;
}
