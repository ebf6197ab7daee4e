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
  const over = new AbortController();
  const inner = new AbortController();
  const pass = (): void => inner.abort(signal.reason);
  signal.addEventListener("abort", pass, { once: true });
  const overdue = clock.sleep(limit, over.signal).then(
    () => inner.abort(new ConsortError("timeout", `Not done within ${limit} ms`)),
    () => {},
  );
  try {
    return await work(inner.signal);
  } finally {
    signal.removeEventListener("abort", pass);
    over.abort(done);
    await overdue;
  }
}

/** A reason of its own would be an error with a stack, made at every end. */
const done = "done";
