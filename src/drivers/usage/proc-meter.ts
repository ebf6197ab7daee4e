import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Clock } from "#base/runtime.ts";
import type { Millis } from "#base/units.ts";
import { machineUsage } from "#drivers/usage/machine-usage.ts";
import type { Look } from "#drivers/usage/machine-usage.ts";
import type { MachineMeter } from "#drivers/usage/port.ts";
import {
  parseBusyMs,
  parseDisks,
  parseInterface,
  parseLoad,
  parseMemory,
} from "#drivers/usage/proc-files.ts";
import type { MachineUsage } from "#protocol/host-report.ts";

/** Of Linux, as seen by programs, whatever the kernel's own clock does. */
const ticksPerSecond = 100;

/**
 * From /proc of the machine this process runs on. Hosts of a lab share one kernel: load, processors and disks are of
 * the machine they share, and only the uplink is their own. Looked at again only after `ageMs`, however often it is
 * asked.
 */
export function procMeter(options: {
  readonly uplink: string;
  readonly ageMs: Millis;
  readonly clock: Clock;
}): MachineMeter {
  const { uplink, ageMs, clock } = options;
  let last: Look | undefined;
  let usage: MachineUsage | undefined;
  return {
    read: () => {
      const atMs = clock.monotonic();
      if (last !== undefined && atMs - last.atMs < ageMs) return usage;
      try {
        const look = lookAt(uplink, atMs);
        usage = machineUsage(last, look);
        last = look;
      } catch {
        // A kernel that tells nothing of this keeps nobody from reporting the rest.
        usage = undefined;
      }
      return usage;
    },
  };
}

function lookAt(uplink: string, atMs: Millis): Look {
  const network = parseInterface(readFileSync("/proc/net/dev", "utf8"), uplink);
  return {
    atMs,
    processors: availableParallelism(),
    load: parseLoad(readFileSync("/proc/loadavg", "utf8")),
    busyMs: parseBusyMs(readFileSync("/proc/stat", "utf8"), ticksPerSecond),
    ...parseMemory(readFileSync("/proc/meminfo", "utf8")),
    ...parseDisks(readFileSync("/proc/diskstats", "utf8")),
    ...(network === undefined ? {} : { network }),
  };
}
