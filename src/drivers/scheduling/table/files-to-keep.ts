/** For all that a dispatcher opens beside its jobs; of few files half of them. */
const othersMax = 256;

/** How many of its files, as /proc/PID/limits tells their greatest number, a dispatcher may keep for its jobs. */
export function filesToKeep(limits: string): number {
  const files = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (files === undefined) return Number.MAX_SAFE_INTEGER;
  return Number(files) - Math.min(othersMax, Math.floor(Number(files) / 2));
}
