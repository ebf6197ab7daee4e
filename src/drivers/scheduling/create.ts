import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Log } from "#base/runtime.ts";
import type { Micros } from "#base/units.ts";
import { ReservationBook } from "#control/scheduling/book.ts";
import type { ProcessorCapacity, SchedulingPolicy } from "#control/scheduling/reservation.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { BandwidthEnforcer } from "./bandwidth/enforcer.ts";
import { Pacer } from "./bandwidth/pacer.ts";
import { DeadlineEnforcer } from "./deadline/enforcer.ts";
import { processorsOf } from "./kernel/calls.ts";
import { OwnerWatchdog } from "./owner-watchdog.ts";
import type { CpuEnforcer, CpuScheduler } from "./port.ts";
import { HostCpuScheduler } from "./scheduler.ts";
import { TableEnforcer } from "./table/enforcer.ts";
import { GroupWeights, weightScale } from "./weights.ts";

export type CpuSchedulerOptions = {
  /** Its own, made if missing, removed by `close`; by it the next owner finds what still runs. */
  readonly directory: string;
  /** Control groups of this machine. */
  readonly layout: CgroupLayout;
  /** The group that all machines' groups are below: its weight, and that of those above it, is raised with theirs. */
  readonly cgroupParent?: string;
  /** What may be reserved. */
  readonly processors: readonly ProcessorCapacity[];
  readonly policy?: SchedulingPolicy;
  /** Length of a slot of dispatch tables; absent: chosen for the reservations that are there. */
  readonly quantumUs?: Micros;
  /** Whether all is let go when this process ends, however it does; false: it goes on until the next owner comes. */
  readonly endsWithOwner?: boolean;
  readonly log: Log;
};

/** The scheduler of this machine, with every back end it could have. Call `recover` first. */
export function createCpuScheduler(options: CpuSchedulerOptions): CpuScheduler {
  const { layout, processors, policy = "rate-monotonic", quantumUs, log } = options;
  const book = new ReservationBook({
    processors,
    policy,
    ...(quantumUs === undefined ? {} : { quantumUs }),
  });
  const weights = new GroupWeights(layout, options.cgroupParent);
  const watched = () => (options.endsWithOwner === true ? { watchdog: new OwnerWatchdog() } : {});
  const enforcers: CpuEnforcer[] = [new DeadlineEnforcer({ layout, ...watched() })];
  const own = processorsOf(0) ?? [];
  // With less of the machine than all, others may dispatch and pace on the same processors.
  const isAlone = processors.length >= own.length;
  if (weightScale(layout) !== undefined) {
    const pacer = isAlone ? { pacer: new Pacer({ layout, processors: own }) } : {};
    enforcers.push(
      new BandwidthEnforcer({ layout, weights, processors: availableParallelism(), ...pacer, ...watched() }),
    );
  }
  if (layout.v2 !== undefined || layout.v1.freezer !== undefined) {
    const directory = join(options.directory, "table");
    enforcers.push(
      new TableEnforcer({
        directory,
        layout,
        weights,
        log,
        endsWithOwner: options.endsWithOwner ?? false,
        ...(isAlone ? { processors: own } : {}),
      }),
    );
  }
  return new HostCpuScheduler(book, enforcers);
}
