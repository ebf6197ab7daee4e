import { setTimeout as pause } from "node:timers/promises";
import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";

/** The machine's own time. */
export function systemClock(): Clock {
  return {
    now: () => millis(Date.now()),
    monotonic: () => millis(performance.now()),
    async sleep(delay, signal) {
      try {
        await pause(delay, undefined, { signal });
      } catch (cause) {
        signal.throwIfAborted();
        throw cause;
      }
    },
    timer(delay, run) {
      const timer = setTimeout(run, delay);
      return () => clearTimeout(timer);
    },
  };
}
