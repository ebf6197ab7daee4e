import { systemClock } from "#drivers/system/clock.ts";
import { median } from "#base/quantiles.ts";
import { millis } from "#base/units.ts";
import { aboveOthers, cgroupRoot, Outside } from "./alternatives.ts";
import type { Ground } from "./alternatives.ts";
import { firstFilms, transcoders } from "./load.ts";
import type { Picture } from "./load.ts";

/**
 * The picture whose film takes as much CPU time on this machine as the one that was published: 14.19% of a processor
 * at 25 frames a second, beside as many others, and transcoders, on all processors, as later on: what keeps the machine's
 * caches busy makes a film cost more.
 */
export const publishedMs = 5.68;
const frameMs = 40;
const startMs = 1_500;
const measureMs = 3_000;
const rounds = 3;
const clock = systemClock();

export type Calibrated = { readonly picture: Picture; readonly filmMs: number };

export async function calibrate(ground: Ground, signal: AbortSignal): Promise<Calibrated> {
  const costsPerPixel: number[] = [];
  let { picture } = ground;
  for (let round = 0; round < rounds; round += 1) {
    costsPerPixel.push((await costOf({ ...ground, picture }, signal)) / area(picture));
    // Other work on the machine disturbs single measurements.
    picture = scaled(ground.picture, publishedMs / (median(costsPerPixel) * area(ground.picture)));
  }
  return { picture, filmMs: median(costsPerPixel) * area(picture) };
}

const area = ({ width, height }: Picture): number => width * height;

/** CPU time of one film in every frame's time, ms. */
async function costOf(ground: Ground, signal: AbortSignal): Promise<number> {
  const outside = new Outside(ground, false);
  const root = ground.cgroups.open(cgroupRoot);
  const serving = ground.cgroups.open(`${cgroupRoot}/films`);
  const beside = ground.cgroups.open(`${cgroupRoot}/transcoders`);
  try {
    for (const group of [serving, beside]) group.create();
    root.setWeight(aboveOthers);
    for (const film of firstFilms)
      outside.serve(["sh", outside.program("stream.sh"), String(film)], { group: serving });
    for (const one of transcoders)
      outside.serve(["sh", outside.program("transcode.sh"), String(one)], { group: beside });
    await clock.sleep(millis(startMs), signal);
    const [usedUs, atMs] = [serving.usage().cpuUs, clock.monotonic()];
    await clock.sleep(millis(measureMs), signal);
    const frames = (firstFilms.length * (clock.monotonic() - atMs)) / frameMs;
    return (serving.usage().cpuUs - usedUs) / 1000 / frames;
  } finally {
    await outside.stop();
  }
}

/** Of the same shape with `factor` times the area, in whole blocks of the coder. */
function scaled(picture: Picture, factor: number): Picture {
  const whole = (length: number): number => Math.max(1, Math.round((length * Math.sqrt(factor)) / 16)) * 16;
  return { width: whole(picture.width), height: whole(picture.height) };
}
