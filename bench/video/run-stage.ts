import { systemClock } from "#drivers/system/clock.ts";
import { millis } from "#base/units.ts";
import { parseArrivals, quality } from "./arrivals.ts";
import type { Arrival, Quality } from "./arrivals.ts";
import { fifthFilm, firstFilms } from "./load.ts";
import type { Stage } from "./load.ts";

/** One stage from its start to its end, and what the receiver saw of it. */
export type Played = {
  readonly name: string;
  readonly arrivals: readonly Arrival[];
  readonly remarks: readonly string[];
  /** When room for the fifth film was asked for, of the receiver's clock. */
  readonly fifthAtUs: number;
  readonly fourFilms: Quality;
  readonly fiveFilms: Quality;
};

export type Timing = {
  /** Not counted: four films start one after the other. */
  readonly startMs: number;
  readonly fourMs: number;
  /** Not counted: from the fifth film's first packet on. */
  readonly settleMs: number;
  readonly fiveMs: number;
};

const clock = systemClock();

export async function play(stage: Stage, usual: Timing, signal: AbortSignal): Promise<Played> {
  const timing = { ...usual, settleMs: stage.settleMs ?? usual.settleMs };
  try {
    await stage.start(signal);
    await pause(timing.startMs, signal);
    await untilPlaying(stage, firstFilms.length, signal);
    await pause(timing.fourMs, signal);
    const fifthAtUs = Date.now() * 1000;
    await stage.fifth(signal);
    await untilPlaying(stage, firstFilms.length + 1, signal);
    await pause(timing.settleMs + timing.fiveMs + tailMs, signal);
    const arrivals = parseArrivals(await stage.arrivals(signal));
    const remarks = (await stage.remarks?.(signal)) ?? [];
    return { ...judge(stage.name, arrivals, fifthAtUs, timing), remarks };
  } finally {
    await stage.stop();
  }
}

/** Some of every film is among what arrives in half a second. */
const recentBytes = 10_000;
const lookAgainMs = 200;
const looksMax = 100;

/** Until that many films arrive: programs may take their time to start. */
async function untilPlaying(stage: Stage, films: number, signal: AbortSignal): Promise<void> {
  for (let look = 0; look < looksMax; look += 1) {
    const text = await stage.arrivals(signal, recentBytes);
    // The first line may have lost its beginning.
    const recent = parseArrivals(text.slice(text.indexOf("\n") + 1));
    if (new Set(recent.map(({ film }) => film)).size >= films) return;
    await pause(lookAgainMs, signal);
  }
  throw new Error(`${stage.name}: ${films} films did not begin to arrive`);
}

/** Packets may be late at the end of the time. */
const tailMs = 200;
const pause = (ms: number, signal: AbortSignal): Promise<void> => clock.sleep(millis(ms), signal);

function judge(
  name: string,
  arrivals: readonly Arrival[],
  fifthAtUs: number,
  timing: Timing,
): Omit<Played, "remarks"> {
  const fifthCame = arrivals.find(({ film }) => film === fifthFilm)?.atUs;
  if (fifthCame === undefined) throw new Error(`${name}: nothing of the fifth film arrived`);
  const before = { fromUs: fifthAtUs - timing.fourMs * 1000, untilUs: fifthAtUs };
  const from = fifthCame + timing.settleMs * 1000;
  const after = { fromUs: from, untilUs: from + timing.fiveMs * 1000 };
  return {
    name,
    arrivals,
    fifthAtUs,
    fourFilms: quality(arrivals, before),
    fiveFilms: quality(arrivals, after),
  };
}
