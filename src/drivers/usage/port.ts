import type { ApplianceId } from "#base/ids.ts";
import type { GuestUsage, MachineUsage } from "#protocol/host-report.ts";

/** Measures the machine a host manager runs on. Cheap enough for every heartbeat; counters only ever grow. */
export interface MachineMeter {
  /** Undefined where the kernel tells nothing. */
  read(): MachineUsage | undefined;
}

/** Measures the guests of the virtual machines that run here. Cheap enough for every heartbeat. */
export interface GuestMeter {
  /** Those that told something. */
  read(): Readonly<Record<ApplianceId, GuestUsage>>;
}
