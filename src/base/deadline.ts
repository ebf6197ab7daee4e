import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";

/** Work that must end within `limit`: its signal aborts then, with `timeout`, or when the caller's does. */
export async function withDeadline<Result>(
  clock: Clock,
  limit: Millis,
  work: (signal: AbortSignal) => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  const over = new AbortController();
  const late = new AbortController();
  const overdue = clock.sleep(limit, AbortSignal.any([signal, over.signal])).then(
    () => late.abort(new ConsortError("timeout", `Not done within ${limit} ms`)),
    () => {},
  );
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    over.abort();
    await overdue;
  }
}
