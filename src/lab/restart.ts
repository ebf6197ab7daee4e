import { millis, type Millis } from "#base/units.ts";

/** A program that ran for less than this before it ended has failed at once. */
export const quickDeathMs = millis(1000);
export const backOffMsMax = millis(5000);
const firstBackOffMs = 100;

export type RestartState = { readonly quickDeaths: number };
export const freshRestartState: RestartState = { quickDeaths: 0 };

/** At once the first time; from the second quick death in a row on 100 ms, doubling to five seconds. */
export function afterDeath(
  state: RestartState,
  ranForMs: Millis,
): { readonly state: RestartState; readonly delayMs: Millis } {
  const quickDeaths = ranForMs < quickDeathMs ? state.quickDeaths + 1 : 0;
  const delayMs = quickDeaths < 2 ? 0 : Math.min(backOffMsMax, firstBackOffMs * 2 ** (quickDeaths - 2));
  return { state: { quickDeaths }, delayMs: millis(delayMs) };
}
