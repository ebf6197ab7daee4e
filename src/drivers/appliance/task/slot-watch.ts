import { messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import { rotateOutput } from "#drivers/appliance/task/output.ts";
import type { Slot } from "#drivers/appliance/task/slot.ts";

const lookMs = millis(2_000);
const lookMsPerSlot = 5;

type Watched = {
  readonly slots: () => readonly Slot[];
  readonly outputBytesMax: Bytes;
  readonly clock: Clock;
  readonly log: Log;
};

/** Looks again and again, until told to end, who lives, and rotates what they have written. */
export async function watchSlots(
  { slots, outputBytesMax, clock, log }: Watched,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const all = slots();
    for (const slot of all) {
      slot.lookAlive();
      if (slot.pid === undefined || slot.logBytes() <= outputBytesMax) continue;
      try {
        rotateOutput(slot.logFile());
      } catch (cause) {
        log.warn(`Cannot rotate ${slot.logFile()}: ${messageOf(cause)}`, { cause });
      }
    }
    const pauseMs = millis(Math.max(lookMs, all.length * lookMsPerSlot));
    await clock.sleep(pauseMs, signal).catch(() => {});
  }
}
