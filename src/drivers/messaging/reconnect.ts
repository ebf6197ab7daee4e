import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";

/**
 * How long to wait before connecting again. `failures` counts attempts that came to nothing since the last
 * connection, from 0; `chance` in [0, 1) spreads clients that lost the same server.
 */
export function reconnectDelay(failures: number, chance: number): Millis {
  const { reconnectMsMin, reconnectMsMax } = messagingLimits;
  const longest = Math.min(reconnectMsMax, reconnectMsMin * 2 ** Math.min(failures, 30));
  return millis(longest * (1 - chance / 2));
}
