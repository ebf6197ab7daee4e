import type { Clock, Log } from "#base/runtime.ts";
import { mebibytes } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { MachineHooks } from "#drivers/appliance/task/extras.ts";
import type { AppliancesScheduler } from "#drivers/appliance/task/reservations.ts";
import type { Cgroups } from "#drivers/system/cgroups/port.ts";

export type TaskDriverOptions = {
  /** Records, private layers and output of the appliances; this driver's own. */
  readonly stateDir: string;
  /** Where the appliances' control groups go; itself made by whoever limits the host. */
  readonly cgroupParent: string;
  /** Of the names under /run/netns; no other host's may begin with it. */
  readonly netnsPrefix: string;
  readonly cgroups: Cgroups;
  /** Of this host's own; closed by whoever made it. */
  readonly scheduler: AppliancesScheduler;
  readonly clock: Clock;
  readonly log: Log;
  /** Machines kept ready for the next appliances on the host's own root. */
  readonly poolSize?: number;
  /** Each appliance runs as a user of its own, from here upwards. */
  readonly firstUid?: number;
  readonly outputBytesMax?: Bytes;
  readonly pidsMax?: number;
  /** Directories of the host that appliances see empty, besides `stateDir`, /run and /tmp. */
  readonly maskedPaths?: readonly string[];
  readonly machines?: MachineHooks;
};

export const taskDefaults = {
  poolSize: 4,
  firstUid: 200_000,
  outputBytesMax: mebibytes(8),
  pidsMax: 4096,
  maskedPaths: ["/root", "/home", "/boot", "/mnt", "/media", "/var/log", "/var/lib/consort", "/etc/consort"],
};
