import { messageOf } from "#base/errors.ts";
import type { Log, LogFields } from "#base/runtime.ts";
import type { Incarnation } from "#sim/kernel/incarnation.ts";
import type { VirtualTime } from "#sim/kernel/virtual-time.ts";

/** What a process writes to its log is noted in the trace. */
export function tracedLog(time: VirtualTime, life: Incarnation | undefined): Log {
  const write = (level: string, message: string, fields: LogFields | undefined): void => {
    if (life?.isDead === true) return;
    const cause = fields?.["cause"] ?? fields?.["error"];
    time.note(`${level} ${message}${cause === undefined ? "" : `: ${messageOf(cause)}`}`);
  };
  const log: Log = {
    debug: () => {},
    info: (message, fields) => write("info", message, fields),
    warn: (message, fields) => write("warn", message, fields),
    error: (message, fields) => write("error", message, fields),
    with: () => log,
  };
  return log;
}
