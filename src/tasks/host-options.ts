import { ConsortError } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { formatBytes } from "#base/units.ts";
import type { BitsPerSecond, Bytes, Micros } from "#base/units.ts";
import type { ProcessorCapacity, SchedulingPolicy } from "#control/scheduling/reservation.ts";
import { schedulingPolicies } from "#model/topology.ts";
import { mustBeOneOf } from "./one-of.ts";

export type TaskHostOptions = {
  /** What may be reserved of each processor, in thousandths; absent: all of every one there is. */
  readonly processors?: readonly ProcessorCapacity[];
  readonly policy?: SchedulingPolicy;
  /** Length of a slot of dispatch tables; absent: chosen for what is reserved. */
  readonly quantumUs?: Micros;
  /** That may be reserved; absent: all there is. */
  readonly memoryBytes?: Bytes;
  /** Where bandwidth is reserved; one program per interface. */
  readonly network?: {
    readonly interface: string;
    readonly bandwidthBps: BitsPerSecond;
    /** Of what arrives there; absent: only what leaves is reserved and sorted. */
    readonly incomingBps?: BitsPerSecond;
  };
  /** Control group below which machines have theirs; absent: "consort-tasks". */
  readonly cgroupParent?: string;
  readonly log?: Log;
};

/** What there is, of which no more can be promised. */
export type MachineSize = { readonly processors: number; readonly memoryBytes: Bytes };

/** Of slots that a program chooses itself: what is shorter is all switching, what is longer no slot. */
const quantumUs = { min: 100, max: 1_000_000 };

/** For programs whose options no compiler has checked, and for more than there is. Throws `bad_input`. */
export function checkHostOptions(options: TaskHostOptions, has: MachineSize): void {
  checkProcessors(options.processors, has);
  if (options.policy !== undefined) mustBeOneOf("policy", options.policy, schedulingPolicies);
  const { quantumUs: quantum, memoryBytes, network, cgroupParent } = options;
  if (
    quantum !== undefined &&
    !(Number.isInteger(quantum) && quantum >= quantumUs.min && quantum <= quantumUs.max)
  )
    refuse(
      `quantumUs is ${quantum}, whole microseconds from ${quantumUs.min} to ${quantumUs.max} are wanted`,
    );
  if (memoryBytes !== undefined && !(memoryBytes > 0 && memoryBytes <= has.memoryBytes))
    refuse(
      `memoryBytes is ${memoryBytes}, more than 0 is wanted and no more than this machine's ${formatBytes(has.memoryBytes)}`,
    );
  for (const word of ["bandwidthBps", "incomingBps"] as const) {
    const value = network?.[word];
    if (network === undefined || (word === "incomingBps" && value === undefined)) continue;
    if (!(value !== undefined && value > 0 && Number.isFinite(value)))
      refuse(`network.${word} is ${value}, the bits per second of ${network.interface} are wanted`);
  }
  if (cgroupParent !== undefined && !/^[a-z0-9_][\w.-]*(\/[a-z0-9_][\w.-]*)*$/i.test(cgroupParent))
    refuse(
      `cgroupParent is "${cgroupParent}", names of letters, digits, dots, hyphens and underscores are wanted, with "/" between them`,
    );
}

function checkProcessors(processors: TaskHostOptions["processors"], has: MachineSize): void {
  if (processors === undefined) return;
  const named = Array.isArray(processors) ? processors.length : Number.NaN;
  if (!(named >= 1 && named <= has.processors))
    refuse(
      `processors is a list of ${named}, one of 1 to ${has.processors} is wanted, as many as this machine has`,
    );
  for (const { milli } of processors)
    if (!(Number.isInteger(milli) && milli >= 0 && milli <= 1000))
      refuse(`${milli} thousandths of a processor are to be reserved, 0 to 1000 are wanted`);
}

function refuse(reason: string): never {
  throw new ConsortError("bad_input", `Cannot open a task host: ${reason}`);
}
