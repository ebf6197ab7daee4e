import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { PlaceClock } from "#sim/kernel/place-clock.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";
import type { Spread } from "#sim/settings.ts";

/** Timers fire this much too late. */
const latenessMs: Spread = [0, 0.5];
const roundingMs = 1e-3;

/** A process's clock: its machine's, with the monotonic one counted from the start of the process. */
export function incarnationClock(life: Incarnation): Clock {
  const place = life.clock;
  return {
    now: () => millis(place.wall()),
    monotonic: () => millis(place.monotonic() - life.startedAt),
    sleep: (delay, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        if (!life.enters()) return;
        const due = place.monotonic() + Math.max(0, delay) + life.draw(latenessMs);
        const wait = (): ReturnType<Incarnation["later"]> =>
          life.laterAt(place.whenShows(due), "wake", () => {
            if (place.monotonic() < due - roundingMs) {
              // The clock was slowed down meanwhile.
              timer = wait();
              return;
            }
            signal.removeEventListener("abort", stop);
            resolve();
          });
        const stop = (): void => {
          life.callOff(timer);
          reject(signal.reason);
        };
        let timer = wait();
        signal.addEventListener("abort", stop, { once: true });
      }),
  };
}

/** A machine's clock for what no process of the simulation is: a store that outlives them all. */
export function machineClock(time: VirtualTime, place: PlaceClock): Clock {
  return {
    now: () => millis(place.wall()),
    monotonic: () => millis(place.monotonic()),
    sleep: (delay, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const due = place.monotonic() + Math.max(0, delay);
        const timer = time.schedule(place.whenShows(due), undefined, "wake", () => {
          signal.removeEventListener("abort", stop);
          resolve();
        });
        const stop = (): void => {
          time.cancel(timer);
          reject(signal.reason);
        };
        signal.addEventListener("abort", stop, { once: true });
      }),
  };
}
