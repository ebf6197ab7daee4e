import type { Clock } from "#base/runtime.ts";
import { isNumber, listOf, mapOf, shape } from "#base/shape.ts";
import { bytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { GuestUsage } from "#protocol/host-report.ts";
import { told } from "../resize/guest-answer.ts";
import type { RunningVm } from "../vm.ts";

const balloon = "/machine/peripheral/balloon";
const interval = "guest-stats-polling-interval";
const everySeconds = 5;
/** A guest that has told nothing for so long is taken to tell nothing. */
const staleMs = 30_000;

const isStatistics = shape({ stats: mapOf(isNumber), "last-update": isNumber });
const isDisks = listOf(shape({ stats: shape({ rd_bytes: isNumber, wr_bytes: isNumber }) }));

/** What QEMU counts of a guest's disks, and what the guest tells of its memory, by way of its balloon. */
export async function guestUsage(
  { qmp, plan }: Pick<RunningVm, "qmp" | "plan">,
  clock: Clock,
  signal: AbortSignal,
): Promise<GuestUsage> {
  const ask = (command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> =>
    qmp.execute(command, args, signal);
  const disks = told(await ask("query-blockstats"), isDisks, "QEMU").map(({ stats }) => stats);
  // Who shrinks the machine has its guest asked more often meanwhile.
  if ((await ask("qom-get", { path: balloon, property: interval })) === 0)
    await ask("qom-set", { path: balloon, property: interval, value: everySeconds });
  const answer = await ask("qom-get", { path: balloon, property: "guest-stats" });
  const { stats, "last-update": atSeconds } = told(answer, isStatistics, "QEMU");
  const isStale = clock.now() - atSeconds * 1000 > staleMs;
  const most = plan.vm?.memoryBytesMax ?? bytes(0);
  const total = isStale ? undefined : believed(stats["stat-total-memory"], most);
  const available = isStale ? undefined : believed(stats["stat-available-memory"], most);
  return {
    readBytes: sum(disks.map(({ rd_bytes: read }) => read)),
    writtenBytes: sum(disks.map(({ wr_bytes: written }) => written)),
    ...(total === undefined ? {} : { memoryTotalBytes: total }),
    ...(available === undefined ? {} : { memoryAvailableBytes: available }),
  };
}

/** QEMU's word for what a guest did not tell is far more than any has; and a guest may tell anything. */
const believed = (said: number | undefined, most: Bytes): Bytes | undefined =>
  said === undefined || said < 0 || said > most ? undefined : bytes(said);

const sum = (counts: readonly number[]): Bytes =>
  bytes(
    Math.min(
      Number.MAX_SAFE_INTEGER,
      counts.reduce((all, one) => all + Math.max(0, one), 0),
    ),
  );
