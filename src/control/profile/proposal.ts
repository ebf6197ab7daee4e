import { bitsPerSecond, bytes, formatDuration, mebibytes, micros, millis } from "#base/units.ts";
import type { BitsPerSecond, Bytes } from "#base/units.ts";
import type { Estimate } from "#control/profile/confidence.ts";
import type { Profile } from "#control/profile/profile.ts";
import type { CpuReservation } from "#model/ensemble.ts";

/** What to reserve for a program that was profiled; what cannot be said is absent, with the reason in `remarks`. */
export type Proposal = {
  readonly cpu?: CpuReservation;
  readonly memoryBytes?: Bytes;
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
/** Of a run, so that at least some fifty looks fall into it. */
const shortMs = 100;

export function proposalOf(profile: Profile): Proposal {
  const { demand, period, running } = profile;
  if (isTooShort(profile))
    return {
      remarks: [
        `A run is over after ${digits(profile.wallMs.mean)} ms, ${shortMs} ms at least were wanted: let it do more of its work in a run.`,
      ],
    };
  const outBps = bandwidth(profile.outBps);
  const inBps = bandwidth(profile.inBps);
  const isKnown = period !== undefined && demand !== undefined && running?.usesAll === undefined;
  return {
    ...(isKnown ? { cpu: reservation(period.ms, Math.max(demand.coveringMs, demand.meanMs)) } : {}),
    memoryBytes: bytes(Math.ceil((profile.memoryPeakBytes * (1 + marginPart)) / mebibytes(1)) * mebibytes(1)),
    ...(outBps === undefined ? {} : { outBps }),
    ...(inBps === undefined ? {} : { inBps }),
    remarks: remarksOn(profile),
  };
}

/** A program that ended before it could be looked at more than some times shows neither its rhythm nor its memory. */
const isTooShort = ({ running, wallMs }: Profile): boolean => running === undefined && wallMs.mean < shortMs;

function remarksOn({ utilisation, period, demand, running, outBps }: Profile): string[] {
  const remarks: string[] = [];
  const all = running?.usesAll;
  if (all !== undefined)
    remarks.push(
      `It uses all of its ${duration(all.executionUs)}/${duration(all.periodUs)}, so it may need more: give it more with consort resize, and profile it again.`,
    );
  else if (utilisation.mean >= restlessPart)
    remarks.push(
      "It computes without a pause: it takes what it gets, and how long it takes is what a reservation decides.",
    );
  if (period === undefined)
    remarks.push(
      running === undefined
        ? "It shows no rhythm of its own: tell its period, with --period 40ms or --rate 25/s."
        : "Its rhythm does not show from outside: tell its period, with --period 40ms or --rate 25/s.",
    );
  else if (demand === undefined)
    remarks.push(
      `A run is over within a period of ${digits(period.ms)} ms: let it do more of its work in a run.`,
    );
  if (outBps === undefined)
    remarks.push(
      running === undefined
        ? "Its traffic could not be counted here."
        : "Of what runs, only traffic of declared links is counted, and it has none.",
    );
  return remarks;
}

const duration = (us: number): string => formatDuration(millis(us / 1000));
const digits = (value: number): string => String(Number(value.toPrecision(3)));

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
