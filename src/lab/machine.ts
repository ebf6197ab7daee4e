import type { Clock, Log, Random } from "#base/runtime.ts";
import type { Cgroups } from "#drivers/system/cgroups/port.ts";
import type { Subprocess } from "#drivers/system/port.ts";

/** What a lab needs of the machine it is built on. */
export type LabMachine = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly subprocess: Subprocess;
  readonly cgroups: Cgroups;
  /** Removes what killed dispatchers left in memory whose directories are gone. */
  readonly removeAbandonedTables?: () => void;
};
