import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { Guard } from "#base/shape.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

/** A guest has so long to do its part of a resize, or the next bit of it: an emulated one on a busy host is slow. */
export const guestMsMax = millis(10_000);
const lookMs = millis(50);

/** Looks again and again until it is so; false: it was not in time. */
export async function becomesSo(
  look: () => Promise<boolean>,
  clock: Clock,
  signal: AbortSignal,
  limitMs: Millis = guestMsMax,
): Promise<boolean> {
  const until = clock.monotonic() + limitMs;
  while (!(await look())) {
    if (clock.monotonic() >= until) return false;
    await clock.sleep(lookMs, signal);
  }
  return true;
}

/** Waits until nothing is left; false: for as long as a guest has, it did not become less. */
export function becomesNothing(
  left: () => Promise<number>,
  clock: Clock,
  signal: AbortSignal,
): Promise<boolean> {
  let least = Number.POSITIVE_INFINITY;
  let since = clock.monotonic();
  let isStuck = false;
  const look = async (): Promise<boolean> => {
    const now = await left();
    if (now < least) {
      least = now;
      since = clock.monotonic();
    }
    isStuck = clock.monotonic() - since >= guestMsMax;
    return now === 0 || isStuck;
  };
  return becomesSo(look, clock, signal, millis(Number.POSITIVE_INFINITY)).then(() => !isStuck);
}

/** @throws driver_failed when it has another form than we know of `who` */
export function told<Value>(answer: unknown, guard: Guard<Value>, who: string): Value {
  if (guard(answer)) return answer;
  throw new ConsortError("driver_failed", `Cannot understand ${who}: it answered in another form`);
}
