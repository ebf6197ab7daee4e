import { lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const ours = /^consort-doctor-(\d+)-\w{6}$/;

/** A directory of its own for a probe of process `pid`, below this one. Whoever asks for it removes it. */
export const newPlace = (directory: string, pid: number = process.pid): string =>
  mkdtempSync(join(directory, `consort-doctor-${pid}-`));

/** Removes those of probes that were killed before they could. What other users have made stays, whatever it is called. */
export function removeAbandonedPlaces(
  directories: readonly string[],
  isRunning: (pid: number) => boolean,
  uid: number | undefined = process.getuid?.(),
): void {
  for (const directory of new Set(directories)) {
    for (const name of namesIn(directory)) {
      const pid = ours.exec(name)?.[1];
      if (pid === undefined || isRunning(Number(pid))) continue;
      const place = join(directory, name);
      if (lstatSync(place, { throwIfNoEntry: false })?.uid !== uid) continue;
      try {
        rmSync(place, { recursive: true, force: true });
      } catch {
        // In use, as a mount of a probe that still ends: it goes the next time.
      }
    }
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
