/** A loop that ends only when its signal aborts, or by failing. */
export type Task = (signal: AbortSignal) => Promise<void>;

/**
 * Runs tasks side by side until the signal aborts. When one fails, the others are told to stop, and its error is
 * thrown once they have: no half of a whole goes on alone. Being stopped by the signal is no failure.
 */
export async function together(tasks: readonly Task[], signal: AbortSignal): Promise<void> {
  const fall = new AbortController();
  const failures: unknown[] = [];
  const joint = AbortSignal.any([signal, fall.signal]);
  const watched = tasks.map(async (task) => {
    try {
      await task(joint);
    } catch (cause) {
      if (joint.aborted) return;
      failures.push(cause);
      fall.abort(cause);
    }
  });
  await Promise.all(watched);
  if (failures.length > 0) throw failures[0];
}
