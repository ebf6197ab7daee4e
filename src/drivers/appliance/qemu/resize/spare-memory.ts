import type { Clock } from "#base/runtime.ts";
import { isNumber, mapOf, shape } from "#base/shape.ts";
import { bytes, millis } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { Qmp } from "../vm.ts";
import { becomesSo, told } from "./guest-answer.ts";

const path = "/machine/peripheral/balloon";
const interval = "guest-stats-polling-interval";
const answerMsMax = millis(4_000);
/** QEMU's word for what a guest did not tell. */
const untold = 2 ** 64;

const isStatistics = shape({ stats: mapOf(isNumber), "last-update": isNumber });

/**
 * What a guest could give back without missing it, as its balloon tells; undefined: it does not tell. Asked for more, a
 * guest ends its own programs, and then itself.
 */
export async function spareBytes(qmp: Qmp, clock: Clock, signal: AbortSignal): Promise<Bytes | undefined> {
  const look = async () =>
    told(await qmp.execute("qom-get", { path, property: "guest-stats" }, signal), isStatistics, "QEMU");
  const poll = (value: unknown): Promise<unknown> =>
    qmp.execute("qom-set", { path, property: interval, value }, signal);
  const usual = await qmp.execute("qom-get", { path, property: interval }, signal);
  const before = (await look())["last-update"];
  await poll(1);
  try {
    const isNew = await becomesSo(
      async () => (await look())["last-update"] > before,
      clock,
      signal,
      answerMsMax,
    );
    const { stats } = await look();
    const spare = stats["stat-available-memory"] ?? untold;
    return isNew && spare < untold / 2 ? bytes(spare) : undefined;
  } finally {
    await poll(usual);
  }
}
