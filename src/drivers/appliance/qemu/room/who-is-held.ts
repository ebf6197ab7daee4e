import type { ApplianceId } from "#base/ids.ts";
import { bytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import { roomLimits } from "./limits.ts";

/** Of the file system that machines' disks are on. */
export type DiskRoom = { readonly freeBytes: Bytes; readonly totalBytes: Bytes };

/** How a machine's disks grow: of late in each second, and whether they did since the last look. */
export type Growth = { readonly bytesPerSecond: number; readonly isGrowing: boolean };

const { roomReserveShare, roomReserveBytesMax, roomPlentyShare, roomScarceShare, roomLastsMsMin } =
  roomLimits;

type DiskSize = Pick<DiskRoom, "totalBytes">;

const reserveOf = ({ totalBytes }: DiskSize): number =>
  Math.min(totalBytes * roomReserveShare, roomReserveBytesMax);

/** With so much of it free nobody is held. */
export const plentyOf = (disk: DiskSize): Bytes => bytes(Math.ceil(roomPlentyShare * reserveOf(disk)));

export const hasPlenty = (room: DiskRoom): boolean => room.freeBytes >= plentyOf(room);

/**
 * Whose guests are to be held, as disks are promised more room than there is. `held`: those who are.
 *
 *     plenty ──────── nobody
 *     reserve ─────── those who are
 *     less ────────── and who fills it fastest, until what is left lasts for ten minutes with what the others take
 *     half of it ──── and all who take any more
 *
 * So it is who fills a host's disk that is held, not who shares it; who takes no more of it never is.
 */
export function whoIsHeld(
  room: DiskRoom,
  growths: ReadonlyMap<ApplianceId, Growth>,
  held: ReadonlySet<ApplianceId>,
): ReadonlySet<ApplianceId> {
  if (hasPlenty(room)) return new Set();
  const reserve = reserveOf(room);
  if (room.freeBytes >= reserve) return held;
  const growing = [...growths]
    .filter(([id, { isGrowing }]) => isGrowing && !held.has(id))
    .sort(([, one], [, other]) => other.bytesPerSecond - one.bytesPerSecond);
  const left = room.freeBytes - roomScarceShare * reserve;
  const taken = growing.map(([, { bytesPerSecond }]) => bytesPerSecond);
  const lasts = (from: number): boolean =>
    left > 0 && sum(taken.slice(from)) * (roomLastsMsMin / 1000) <= left;
  const more = growing.findIndex((_, index) => lasts(index));
  return new Set([...held, ...growing.slice(0, more === -1 ? undefined : more).map(([id]) => id)]);
}

const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0);
