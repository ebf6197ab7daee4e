import type { ApplianceId, HostId } from "#base/ids.ts";
import type { Checkpoint } from "#model/checkpoint.ts";

/** What a host knows of one appliance's checkpoints, the newest last. Durable before any of it is told to anybody. */
export type ChainRecord = {
  readonly appliance: ApplianceId;
  readonly taken: readonly TakenRecord[];
  /** The one this machine began from: its own layers lie above that one's. */
  readonly beganFrom?: string;
  /** One is under way: the machine may be paused for it. */
  readonly underWay?: string;
  /** The machine stands still at this one, which is complete. */
  readonly standing?: string;
};

export type TakenRecord = {
  readonly checkpoint: Checkpoint;
  readonly copies: readonly HostId[];
  readonly missing: readonly HostId[];
  readonly store?: string;
};
