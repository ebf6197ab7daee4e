import { bitsPerSecond, bytes, mebibytes, micros } from "#base/units.ts";
import type { BitsPerSecond, Bytes } from "#base/units.ts";
import type { Estimate } from "#control/profile/confidence.ts";
import type { Profile } from "#control/profile/profile.ts";
import type { CpuReservation } from "#model/ensemble.ts";

/** What to reserve for a program that was profiled; what cannot be said is absent, with the reason in `remarks`. */
export type Proposal = {
  readonly cpu?: CpuReservation;
  readonly memoryBytes: Bytes;
  readonly outBps?: BitsPerSecond;
  readonly inBps?: BitsPerSecond;
  /** For people. */
  readonly remarks: readonly string[];
};

/** More than was ever seen, of what must not run short: memory and bandwidth. */
const marginPart = 0.1;
const stepUs = 10;
const periodStepUs = 100;
const periodUsMin = 1000;
/** A measured period is off by so much, and most are meant to be whole milliseconds. */
const measuredPart = 0.005;
const bandwidthStepBps = 10_000;
/** A program that uses so much of a processor does not wait for anything. */
const restlessPart = 0.97;
/** Binary fractions only come near decimal ones. */
const rounding = 1e-6;
/** Less than this is chatter. */
const bandwidthBpsMin = 1000;

export function proposalOf(profile: Profile): Proposal {
  const { utilisation, demand, period, memoryPeakBytes } = profile;
  const remarks: string[] = [];
  if (utilisation.mean >= restlessPart)
    remarks.push(
      "It computes without a pause: it takes what it gets, and how long it takes is what a reservation decides.",
    );
  if (period === undefined)
    remarks.push("It shows no rhythm of its own: tell its period, with --period 40ms or --rate 25/s.");
  const outBps = bandwidth(profile.outBps);
  const inBps = bandwidth(profile.inBps);
  if (profile.outBps === undefined) remarks.push("Its traffic could not be counted here.");
  return {
    ...(period === undefined || demand === undefined
      ? {}
      : { cpu: reservation(period.ms, Math.max(demand.coveringMs, demand.meanMs)) }),
    memoryBytes: bytes(Math.ceil((memoryPeakBytes * (1 + marginPart)) / mebibytes(1)) * mebibytes(1)),
    ...(outBps === undefined ? {} : { outBps }),
    ...(inBps === undefined ? {} : { inBps }),
    remarks,
  };
}

function reservation(periodMs: number, executionMs: number): CpuReservation {
  const wholeMs = Math.round(periodMs);
  const isWhole = Math.abs(periodMs - wholeMs) <= periodMs * measuredPart;
  const steps = isWhole ? wholeMs * 1000 : Math.round((periodMs * 1000) / periodStepUs) * periodStepUs;
  const periodUs = micros(Math.max(periodUsMin, steps));
  const executionUs = micros(Math.max(stepUs, Math.ceil((executionMs * 1000) / stepUs - rounding) * stepUs));
  return { kind: "reservation", periodUs, executionUs };
}

function bandwidth(rate: Estimate | undefined): BitsPerSecond | undefined {
  if (rate === undefined || rate.mean < bandwidthBpsMin) return undefined;
  const most = rate.mean + (Number.isFinite(rate.halfWidth) ? rate.halfWidth : 0);
  return bitsPerSecond(Math.ceil((most * (1 + marginPart)) / bandwidthStepBps - rounding) * bandwidthStepBps);
}
