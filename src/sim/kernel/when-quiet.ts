/** After so many steps whatever else waits in this process gets a turn: an interrupt, a finalizer. */
const stepsPerTurn = 2000;
const settled = Promise.resolve();

/**
 * Calls `step` again and again until it returns false, each time when everything that followed from the last call has
 * settled: no promise is left that could go on by itself. Rejects with what `step` throws.
 *
 * The only place where a simulation touches the event loop. A callback of `process.nextTick` that was asked for by a
 * microtask is called when no microtask is left, at a fraction of what a turn of the event loop costs.
 */
export function repeatWhenQuiet(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = stepsPerTurn;
    const next = (): void => {
      try {
        if (!step()) return resolve();
      } catch (cause) {
        return reject(cause);
      }
      left -= 1;
      // A promise that has settled takes a callback with less ado than queueMicrotask() does.
      if (left > 0) return void settled.then(tick);
      left = stepsPerTurn;
      setImmediate(next);
    };
    const tick = (): void => process.nextTick(next);
    setImmediate(next);
  });
}
