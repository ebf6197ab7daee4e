/** CPU time used up to a moment; both only grow. */
export type CpuSample = { readonly atMs: number; readonly cpuMs: number };

const binMs = 1;
const periodMsMin = 4;
const periodMsMax = 1000;
/** Bins looked at: what shows in the first of them shows in the rest. */
const binsMax = 8192;
/** How alike bins a period apart must be, of 1. */
const clearPart = 0.3;
/** A multiple of the period is as alike as the period: the first that comes so near the best is it. */
const asGoodPart = 0.85;

/**
 * The period at which a program works and rests, in ms, from how its CPU time grows: the shift at which that is most
 * like itself (autocorrelation). Undefined where nothing repeats itself clearly.
 */
export function periodIn(samples: readonly CpuSample[]): number | undefined {
  const use = useOverTime(samples);
  const lagMax = Math.min(periodMsMax, Math.floor(use.length / 4));
  if (lagMax < periodMsMin) return undefined;
  const mean = use.reduce((sum, value) => sum + value, 0) / use.length;
  const centred = use.map((value) => value - mean);
  const power = likeness(centred, 0);
  if (power === 0) return undefined;
  const alike = Array.from({ length: lagMax + 2 }, (_, lag) => likeness(centred, lag) / power);
  // Up to where it is first unlike itself it is only near itself.
  const from = alike.findIndex((value) => value <= 0);
  if (from === -1) return undefined;
  const peaks = alike.flatMap((value, lag) =>
    lag > from && lag <= lagMax && isPeak(alike, lag) ? [{ lag, value }] : [],
  );
  const best = Math.max(...peaks.map(({ value }) => value));
  const first = peaks.find(({ lag, value }) => lag >= periodMsMin && value >= best * asGoodPart);
  return first === undefined || best < clearPart ? undefined : summit(alike, first.lag) * binMs;
}

/** CPU time in each millisecond. */
function useOverTime(samples: readonly CpuSample[]): number[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return [];
  const bins = Math.min(binsMax, Math.floor((last.atMs - first.atMs) / binMs));
  const used = cpuAt(
    samples,
    Array.from({ length: bins + 1 }, (_, index) => first.atMs + index * binMs),
  );
  return used.slice(1).map((value, index) => value - (used[index] ?? 0));
}

/** CPU time used up to each of these moments, which only grow, read between the samples on either side. */
export function cpuAt(samples: readonly CpuSample[], momentsMs: readonly number[]): number[] {
  let index = 0;
  return momentsMs.map((atMs) => {
    while ((samples[index + 1]?.atMs ?? Infinity) < atMs) index += 1;
    const [before, after] = [samples[index], samples[index + 1]];
    if (before === undefined) return 0;
    if (after === undefined || atMs <= before.atMs) return before.cpuMs;
    return before.cpuMs + ((after.cpuMs - before.cpuMs) * (atMs - before.atMs)) / (after.atMs - before.atMs);
  });
}

/** Mean product of what is that far apart. */
function likeness(values: readonly number[], lag: number): number {
  let sum = 0;
  for (let index = lag; index < values.length; index += 1)
    sum += (values[index] ?? 0) * (values[index - lag] ?? 0);
  return sum / (values.length - lag);
}

const isPeak = (values: readonly number[], at: number): boolean =>
  (values[at] ?? 0) >= (values[at - 1] ?? 0) && (values[at] ?? 0) > (values[at + 1] ?? 0);

/** Where the parabola through a peak and its neighbours is highest. */
function summit(values: readonly number[], at: number): number {
  const [left, middle, right] = [values[at - 1] ?? 0, values[at] ?? 0, values[at + 1] ?? 0];
  const curve = left - 2 * middle + right;
  return curve === 0 ? at : at + (left - right) / (2 * curve);
}
