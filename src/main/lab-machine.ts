import type { Clock } from "#base/runtime.ts";
import { removeAbandonedTables } from "#drivers/scheduling/table/file.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { jsonLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import type { LabMachine } from "#lab/machine.ts";

/** This machine, for a lab to be built on it by the command line: only warnings reach the terminal. */
export function labMachine(clock: Clock): LabMachine {
  return {
    clock,
    log: jsonLog({ clock, fd: 2, level: "warn" }),
    random: systemRandom(),
    subprocess: systemSubprocess(),
    cgroups: systemCgroups(clock),
    removeAbandonedTables,
  };
}
