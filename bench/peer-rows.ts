import { messageOf } from "#base/errors.ts";
import { range } from "./harness.ts";
import type { BenchRow } from "./harness.ts";

/** What somebody else's program took: to compare with, without an aim. */
export const peerRow = (what: string, metric: string, values: readonly number[], unit = "ms"): BenchRow => ({
  case: what,
  metric,
  unit,
  reference: "-",
  aim: "-",
  ...range(values),
  ok: true,
});

const reasonLengthMax = 200;

/** Its rows; where it does not run, one that tells why not. */
export async function unlessAbsent(
  what: string,
  signal: AbortSignal,
  measure: () => Promise<BenchRow[]>,
): Promise<BenchRow[]> {
  try {
    return await measure();
  } catch (cause) {
    signal.throwIfAborted();
    const why = messageOf(cause).trim().replaceAll(/\s+/g, " ");
    // What went wrong is said last, after the command.
    const shown = why.length > reasonLengthMax ? `…${why.slice(-reasonLengthMax)}` : why;
    return [{ ...peerRow(what, `does not run here: ${shown}`, [Number.NaN], "-"), ok: false }];
  }
}
