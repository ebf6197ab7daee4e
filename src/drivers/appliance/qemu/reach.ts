import type { Clock } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { connectQmp } from "./qmp.ts";
import type { Qmp } from "./vm.ts";

/** Between two attempts to reach a QEMU that has only just begun; later ones come slower. */
const againMsMin = 2;
const againMsMax = 50;
const slower = 1.05;

export type Reaching = {
  /** Of its monitor's socket. */
  readonly path: string;
  /** For a greeting. A QEMU that is held takes connections, but greets nobody. */
  readonly greetingMsMax: Millis;
  /** Whether there is a QEMU to be reached at all. */
  readonly goesOn: () => boolean;
  /** Whether it is there still, and has said how it stands. */
  readonly listen: (qmp: Qmp) => Promise<boolean>;
};

/** Undefined: its run was over before its QEMU answered. */
export async function reachQmp(
  { path, greetingMsMax, goesOn, listen }: Reaching,
  clock: Clock,
  signal: AbortSignal,
): Promise<Qmp | undefined> {
  let againMs = againMsMin;
  while (goesOn()) {
    const greeted = AbortSignal.any([signal, AbortSignal.timeout(greetingMsMax)]);
    const qmp = await connectQmp(path, greeted).catch(() => undefined);
    signal.throwIfAborted();
    if (qmp !== undefined && (await listen(qmp))) return qmp;
    await clock.sleep(millis(againMs), signal);
    againMs = Math.min(againMs * slower, againMsMax);
  }
  return undefined;
}
