/** A loop that ends only when its signal aborts, or by failing. */
export type Task = (signal: AbortSignal) => Promise<void>;

/**
 * Runs tasks side by side until the signal aborts. When one fails, the others are told to stop, and its error is
 * thrown once they have: no half of a whole goes on alone. Being stopped by the signal is no failure.
 */
export async function together(tasks: readonly Task[], signal: AbortSignal): Promise<void> {
  // One that follows from several would be asked about each of them whenever a task looks at it.
  const joint = new AbortController();
  const stop = (): void => joint.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  const failures: unknown[] = [];
  const watched = tasks.map(async (task) => {
    try {
      await task(joint.signal);
    } catch (cause) {
      if (joint.signal.aborted) return;
      failures.push(cause);
      joint.abort(cause);
    }
  });
  await Promise.all(watched);
  signal.removeEventListener("abort", stop);
  if (failures.length > 0) throw failures[0];
}
