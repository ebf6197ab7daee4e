import { codeOf } from "#base/errors.ts";
import { InTurn } from "#base/in-turn.ts";
import { millis } from "#base/units.ts";
import type { Subprocess } from "#drivers/system/port.ts";

const patienceMs = millis(10_000);

/**
 * Where a machine is busy, what is tried all at once may not be done in time though it works: whatever timed out is
 * tried once more with more time, one after the other. Rejects with `timeout` only after that.
 */
export function patient(subprocess: Subprocess): Subprocess {
  const turns = new InTurn();
  return {
    run: async (file, args, signal, options) => {
      try {
        return await subprocess.run(file, args, signal, options);
      } catch (cause) {
        if (codeOf(cause) !== "timeout") throw cause;
        return await turns.run(() =>
          subprocess.run(file, args, signal, { ...options, timeoutMs: patienceMs }),
        );
      }
    },
    check: (file, args, signal, options) => subprocess.check(file, args, signal, options),
  };
}
