import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Qmp } from "./vm.ts";

const lookMs = millis(5);

/**
 * QEMU's word for its run state, once it may be told to go on: it tells that all was sent a moment before that, which on
 * a busy host is long enough to be seen ("Migration is not finalized yet").
 */
export async function settledStatus(
  qmp: Pick<Qmp, "execute">,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  for (;;) {
    const { status } = (await qmp.execute("query-status", {}, signal)) as { readonly status: string };
    if (status !== "finish-migrate") return status;
    await clock.sleep(lookMs, signal);
  }
}
