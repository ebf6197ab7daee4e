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
  signal.throwIfAborted();
  const inner = new AbortController();
  const pass = (): void => inner.abort(signal.reason);
  signal.addEventListener("abort", pass, { once: true });
  const callOff = clock.timer(limit, () =>
    inner.abort(new ConsortError("timeout", `Not done within ${limit} ms`)),
  );
  try {
    return await work(inner.signal);
  } finally {
    signal.removeEventListener("abort", pass);
    callOff();
  }
}
