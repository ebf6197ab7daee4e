import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Scheduled } from "#sim/kernel/event-heap.ts";
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
  const timer = (delay: number, run: () => void): (() => void) => {
    if (!life.enters()) return () => {};
    const due = place.monotonic() + Math.max(0, delay) + life.draw(latenessMs);
    const wait = (): Scheduled =>
      life.laterAt(place.whenShows(due), "wake", () => {
        // Unless the clock was slowed down meanwhile.
        if (place.monotonic() >= due - roundingMs) run();
        else event = wait();
      });
    let event = wait();
    return () => life.callOff(event);
  };
  return {
    now: () => millis(place.wall()),
    monotonic: () => millis(place.monotonic() - life.startedAt),
    sleep: sleepBy(timer),
    timer,
  };
}

/** A machine's clock for what no process of the simulation is: a store that outlives them all. */
export function machineClock(time: VirtualTime, place: PlaceClock): Clock {
  const timer = (delay: number, run: () => void): (() => void) => {
    const due = place.monotonic() + Math.max(0, delay);
    const event = time.schedule(place.whenShows(due), undefined, "wake", run);
    return () => time.cancel(event);
  };
  return {
    now: () => millis(place.wall()),
    monotonic: () => millis(place.monotonic()),
    sleep: sleepBy(timer),
    timer,
  };
}

function sleepBy(timer: Clock["timer"]): Clock["sleep"] {
  return (delay, signal) =>
    new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const stop = (): void => {
        callOff();
        reject(signal.reason);
      };
      const callOff = timer(delay, () => {
        signal.removeEventListener("abort", stop);
        resolve();
      });
      signal.addEventListener("abort", stop, { once: true });
    });
}
