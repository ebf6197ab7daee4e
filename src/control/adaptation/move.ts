import {
  bitsPerSecond,
  formatBandwidth,
  formatCpu,
  formatDuration,
  micros,
  milliCpu,
  millis,
} from "#base/units.ts";
import type { BitsPerSecond, Micros } from "#base/units.ts";
import type { ApplianceSpec, CpuRequest, TeamSpec, TrafficSpec } from "#model/ensemble.ts";

/** What both sides have afterwards, or why they keep what they have. */
export type Moved<Part> =
  | { readonly kind: "moved"; readonly from: Part; readonly to: Part }
  | { readonly kind: "refused"; readonly reason: string };

export type CpuSide = Pick<ApplianceSpec, "enforcement" | "teams"> & {
  readonly name: string;
  readonly cpu?: CpuRequest;
};

const refused = (reason: string): { readonly kind: "refused"; readonly reason: string } => ({
  kind: "refused",
  reason,
});

/**
 * Moves `amountUs` of CPU time per period of the receiver (of the giver, where the receiver has a share without one).
 * The giver gives the same share of a processor in its own period, rounded up, so that never more is promised than
 * before (reference vtm.md, cpu_adapt).
 */
export function moveCpu(amountUs: Micros, from: CpuSide, to: CpuSide): Moved<CpuRequest> {
  if (from.name === to.name) return refused(`${from.name} cannot give itself CPU time`);
  if (from.cpu === undefined) return refused(`${from.name} has no CPU time reserved to give`);
  if (to.cpu === undefined) return refused(`${to.name} has no CPU time reserved that could grow`);
  const periodUs = periodOf(to.cpu) ?? periodOf(from.cpu);
  if (periodUs === undefined)
    return refused(`neither ${from.name} nor ${to.name} has a period, in which CPU time could be moved`);
  const share = amountUs / periodUs;
  const less = changed(from.cpu, -share, Math.ceil);
  const more = changed(to.cpu, share, Math.floor);
  if (shareOf(less) <= 0) {
    return refused(
      `${from.name} has ${formatRequest(from.cpu)}, and giving ${formatDuration(millis(amountUs / 1000))} per ${formatDuration(millis(periodUs / 1000))} leaves nothing`,
    );
  }
  const ofTeams = teamShare(from.teams ?? []);
  if (ofTeams > shareOf(less) + rounding)
    return refused(
      `the teams of ${from.name} have ${formatCpu(milliCpu(ofTeams * 1000))} reserved, and ${formatRequest(less)} would be left`,
    );
  if (isSerial(to) && shareOf(more) > 1 + rounding)
    return refused(
      `${to.name} would have ${formatRequest(more)}, and its ${to.enforcement} gives one processor at most`,
    );
  return { kind: "moved", from: less, to: more };
}

/** In both directions, as far as both have a guarantee there (reference vtm.md, network_adapt). */
export function moveBandwidth(
  amountBps: BitsPerSecond,
  from: { readonly name: string; readonly traffic?: TrafficSpec },
  to: { readonly name: string; readonly traffic?: TrafficSpec },
): Moved<TrafficSpec> {
  if (from.name === to.name) return refused(`${from.name} cannot give itself bandwidth`);
  let [less, more] = [from.traffic, to.traffic];
  if (less === undefined) return refused(`${from.name} has no bandwidth reserved to give`);
  if (more === undefined) return refused(`${to.name} has no bandwidth reserved that could grow`);
  let moved = false;
  for (const [rate, ceiling] of [
    ["outBps", "outCeilingBps"],
    ["inBps", "inCeilingBps"],
  ] as const) {
    const [has, gets] = [less[rate], more[rate]];
    if (has === undefined || gets === undefined) continue;
    const left = bitsPerSecond(has - amountBps);
    if (left <= 0)
      return refused(
        `${from.name} has ${formatBandwidth(has)}, and giving ${formatBandwidth(amountBps)} leaves nothing`,
      );
    const after = bitsPerSecond(gets + amountBps);
    less = { ...less, [rate]: left };
    more = { ...more, [rate]: after };
    const most = more[ceiling];
    if (most !== undefined && most < after) more = { ...more, [ceiling]: after };
    moved = true;
  }
  if (!moved) return refused(`${from.name} and ${to.name} have no bandwidth reserved in the same direction`);
  return { kind: "moved", from: less, to: more };
}

/** Shares are sums of fractions, which binary numbers only come near. */
const rounding = 1e-9;

const periodOf = (cpu: CpuRequest): Micros | undefined =>
  cpu.kind === "reservation" ? cpu.periodUs : undefined;

const shareOf = (cpu: CpuRequest): number =>
  cpu.kind === "reservation" ? cpu.executionUs / cpu.periodUs : cpu.shareMilli / 1000;

/** `round` takes what is a whole number up to binary fractions for that number. */
function changed(cpu: CpuRequest, share: number, round: (value: number) => number): CpuRequest {
  const whole = (value: number): number => {
    const amount = Math.abs(value);
    const nearest = Math.round(amount);
    return Math.sign(value) * (Math.abs(amount - nearest) < 1e-6 ? nearest : round(amount));
  };
  if (cpu.kind === "reservation")
    return { ...cpu, executionUs: micros(cpu.executionUs + whole(share * cpu.periodUs)) };
  const shareMilli = milliCpu(cpu.shareMilli + whole(share * 1000));
  return { ...cpu, shareMilli, limitMilli: milliCpu(Math.max(cpu.limitMilli, shareMilli)) };
}

const teamShare = (teams: readonly TeamSpec[]): number =>
  teams.reduce((sum, { cpu }) => sum + (cpu === undefined ? 0 : shareOf(cpu)), 0);

const isSerial = ({ enforcement }: CpuSide): boolean =>
  enforcement === "dispatch-table" || enforcement === "deadline";

/** "24ms of 40ms", "60%". */
export function formatRequest(cpu: CpuRequest): string {
  if (cpu.kind === "share") return formatCpu(cpu.shareMilli);
  const { executionUs, periodUs } = cpu;
  return `${formatDuration(millis(executionUs / 1000))} of ${formatDuration(millis(periodUs / 1000))}`;
}
