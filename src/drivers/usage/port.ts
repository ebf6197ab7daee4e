import type { MachineUsage } from "#protocol/host-report.ts";

/** Measures the machine a host manager runs on. Cheap enough for every heartbeat; counters only ever grow. */
export interface MachineMeter {
  /** Undefined where the kernel tells nothing. */
  read(): MachineUsage | undefined;
}
