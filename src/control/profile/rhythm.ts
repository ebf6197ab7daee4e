/** CPU time used up to a moment; both only grow. */
export type CpuSample = { readonly atMs: number; readonly cpuMs: number };

/** Two of the ticks at which a kernel counts the time of whoever goes on, of 4 ms. */
const periodMsMin = 8;
const periodMsMax = 1000;
/** Milliseconds looked at of one run: what shows in the first of them shows in the rest. */
const runMsMax = 8192;
/** Work is looked for in pieces of this many ms: programs that keep time well show in the first, others in the next. */
const widthsMs = [1, 8];
/** How alike what is a period apart must be, of 1, and of what chance would make of it. */
const clearPart = 0.15;
const clearOfChance = 6;
/** A multiple of the period is as alike as the period: the first that comes so near the best is it. */
const asGoodPart = 0.6;
/** A multiple is where the period says, up to this part of a period. */
const strayPart = 0.2;

/**
 * The period at which a program works and rests, in ms, from how its CPU time grows in its runs: the shift at which
 * that is most like itself (autocorrelation). Undefined where nothing repeats itself clearly.
 */
export function rhythmOf(runs: readonly (readonly CpuSample[])[]): number | undefined {
  const uses = runs.map(useOverTime).filter((use) => use.length >= 4 * periodMsMin);
  for (const width of widthsMs) {
    const found = periodOf(
      uses.map((use) => smooth(use, width)),
      width,
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

function periodOf(uses: readonly (readonly number[])[], width: number): number | undefined {
  const lengths = uses.map((use) => use.length);
  const lagMax = Math.min(periodMsMax, Math.floor(Math.min(...lengths) / 4));
  if (uses.length === 0 || lagMax < periodMsMin) return undefined;
  const alike = likenessOf(uses, lagMax + 1);
  // Up to where it is first unlike itself it is only near itself.
  const from = alike.findIndex((value) => value <= 0);
  if (from === -1) return undefined;
  const peaks = alike.flatMap((value, lag) =>
    lag > from && lag <= lagMax && isPeak(alike, lag) ? [{ lag, value }] : [],
  );
  const best = Math.max(...peaks.map(({ value }) => value));
  const chance = Math.sqrt(width / lengths.reduce((sum, length) => sum + length, 0));
  if (best < Math.max(clearPart, clearOfChance * chance)) return undefined;
  const first = peaks.find(({ value }) => value >= best * asGoodPart);
  // What comes sooner is the kernel's counting, and so are the multiples of it.
  if (first === undefined || first.lag < periodMsMin) return undefined;
  return refined(alike, peaks, first.lag, best / 2);
}

/** Peaks at multiples tell the period more exactly, as long as they follow one another. */
function refined(
  alike: readonly number[],
  peaks: readonly { readonly lag: number; readonly value: number }[],
  first: number,
  least: number,
): number {
  let period = summit(alike, first);
  for (let multiple = 2; multiple * period < alike.length; multiple += 1) {
    const near = peaks
      .filter(({ lag, value }) => value >= least && Math.abs(lag - multiple * period) <= strayPart * period)
      .toSorted((a, b) => b.value - a.value)[0];
    if (near === undefined) break;
    period = summit(alike, near.lag) / multiple;
  }
  return period;
}

/** By shift in ms, from 1 for none; the mean of all runs, each counted alike. */
function likenessOf(uses: readonly (readonly number[])[], lagMax: number): number[] {
  const sum = Array.from({ length: lagMax + 1 }, () => 0);
  for (const use of uses) {
    const mean = use.reduce((total, value) => total + value, 0) / use.length;
    const centred = use.map((value) => value - mean);
    const power = likeness(centred, 0);
    if (power <= 0) continue;
    for (let lag = 0; lag <= lagMax; lag += 1)
      sum[lag] = (sum[lag] ?? 0) + likeness(centred, lag) / power / uses.length;
  }
  return sum;
}

/** Sums over `width` that follow each other. */
function smooth(values: readonly number[], width: number): number[] {
  if (width === 1) return [...values];
  let sum = 0;
  const sums = values.map((value, index) => (sum += value - (values[index - width] ?? 0)));
  return sums.slice(width - 1);
}

/** CPU time in each millisecond. */
function useOverTime(samples: readonly CpuSample[]): number[] {
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) return [];
  const bins = Math.min(runMsMax, Math.floor(last.atMs - first.atMs));
  const used = cpuAt(
    samples,
    Array.from({ length: bins + 1 }, (_, index) => first.atMs + index),
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
