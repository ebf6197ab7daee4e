import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { isNumber, isText, listOf, optional, shape } from "#base/shape.ts";
import { bytes, mebibytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import { roomName } from "../command/devices.ts";
import type { Qmp, RunningVm } from "../vm.ts";
import { becomesNothing, told } from "./guest-answer.ts";
import { spareBytes } from "./spare-memory.ts";

const isSummary = shape({ "base-memory": isNumber });
const isBalloon = shape({ actual: isNumber });
const areDevices = listOf(
  shape({
    type: isText,
    data: shape({ id: optional(isText), size: optional(isNumber), "block-size": optional(isNumber) }),
  }),
);

/** Memory that a guest is given or gives back: what the balloon keeps from it, and what is plugged into its room. */
type Share = { readonly balloonBytes: number; readonly roomBytes: number };

/** Of what a guest has to spare, what is left to it. */
const reserveBytes = mebibytes(8);
/** What QEMU rounds to, and a little that a guest's driver may keep back. */
const toleranceBytes = mebibytes(2);

/**
 * Gives a running guest more memory or takes some away. Down from what it began with, a balloon in it holds back the
 * rest; up from there, memory is plugged into the room that was kept for it. Rejects when the guest has not done its
 * part in time, and then it has what it had.
 */
export async function resizeMemory(
  vm: Pick<RunningVm, "qmp" | "id">,
  { from, to }: { readonly from: Bytes; readonly to: Bytes },
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (from === to) return;
  const { qmp } = vm;
  const base = await bootMemoryBytes(qmp, signal);
  const room = await roomOf(qmp, signal);
  if (to > base && room === undefined)
    throw new ConsortError(
      "unsatisfiable",
      `Cannot resize ${vm.id}: its machine began with ${mib(base)} and has no room for more, ${mib(to)} were wanted`,
    );
  const spare = to < from ? await spareBytes(qmp, clock, signal) : undefined;
  if (spare !== undefined && from - to > spare - reserveBytes)
    throw new ConsortError(
      "driver_failed",
      `Cannot resize ${vm.id}: its guest has ${mib(spare)} to spare, and ${mib(from - to)} less were wanted`,
    );
  const shares = (memoryBytes: Bytes): Share => shareOf(memoryBytes, base, room?.blockBytes ?? 1);
  if (await gets(qmp, shares(to), clock, signal)) return;
  const reached = await heldBytes(qmp, base, signal);
  await ask(qmp, shares(from), signal);
  throw new ConsortError(
    "driver_failed",
    `Cannot resize ${vm.id}: its guest went to ${mib(reached)} and no further, ${mib(to)} were wanted`,
  );
}

/** What it began with: how its memory is laid out, whatever it was resized to since. */
export async function bootMemoryBytes(qmp: Qmp, signal: AbortSignal): Promise<Bytes> {
  const summary = await qmp.execute("query-memory-size-summary", {}, signal);
  return bytes(told(summary, isSummary, "QEMU")["base-memory"]);
}

/**
 * What a machine really has that was to have so much: that, within what cannot be told apart, or the whole MiB of what it
 * came with.
 */
export async function memoryHeld(
  { qmp }: Pick<RunningVm, "qmp">,
  wanted: Bytes,
  signal: AbortSignal,
): Promise<Bytes> {
  const held = await heldBytes(qmp, await bootMemoryBytes(qmp, signal), signal);
  if (Math.abs(held - wanted) <= toleranceBytes) return wanted;
  return bytes(Math.floor(held / mebibytes(1)) * mebibytes(1));
}

async function heldBytes(qmp: Qmp, base: number, signal: AbortSignal): Promise<Bytes> {
  const balloon = await balloonBytes(qmp, signal);
  return bytes(Math.min(balloon, base) + ((await roomOf(qmp, signal))?.usedBytes ?? 0));
}

/** How much of its memory is which. Room is given in whole blocks: a guest is promised no less than it asked for. */
export function shareOf(memoryBytes: Bytes, base: number, blockBytes: number): Share {
  const more = Math.max(0, memoryBytes - base);
  return {
    balloonBytes: Math.min(memoryBytes, base),
    roomBytes: Math.ceil(more / blockBytes) * blockBytes,
  };
}

async function gets(qmp: Qmp, share: Share, clock: Clock, signal: AbortSignal): Promise<boolean> {
  await ask(qmp, share, signal);
  const left = async (): Promise<number> => {
    const balloon = Math.abs((await balloonBytes(qmp, signal)) - share.balloonBytes);
    const room = Math.abs(((await roomOf(qmp, signal))?.usedBytes ?? 0) - share.roomBytes);
    return (balloon <= toleranceBytes ? 0 : balloon) + room;
  };
  return becomesNothing(left, clock, signal);
}

async function ask(qmp: Qmp, { balloonBytes: value, roomBytes }: Share, signal: AbortSignal): Promise<void> {
  await qmp.execute("balloon", { value }, signal);
  if ((await roomOf(qmp, signal)) === undefined) return;
  const path = `/machine/peripheral/${roomName}`;
  await qmp.execute("qom-set", { path, property: "requested-size", value: roomBytes }, signal);
}

const balloonBytes = async (qmp: Qmp, signal: AbortSignal): Promise<number> =>
  told(await qmp.execute("query-balloon", {}, signal), isBalloon, "QEMU").actual;

async function roomOf(
  qmp: Qmp,
  signal: AbortSignal,
): Promise<{ readonly usedBytes: number; readonly blockBytes: number } | undefined> {
  const devices = told(await qmp.execute("query-memory-devices", {}, signal), areDevices, "QEMU");
  const room = devices.find(({ type, data }) => type === "virtio-mem" && data.id === roomName)?.data;
  if (room === undefined) return undefined;
  return { usedBytes: room.size ?? 0, blockBytes: room["block-size"] ?? 1 };
}

const mib = (amount: number): string => `${Math.round(amount / mebibytes(1))} MiB`;
