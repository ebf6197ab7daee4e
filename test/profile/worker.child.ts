/**
 * Uses `workMs` of CPU time at the begin of every `periodMs`, for `lastsMs`: by the CPU clock, so that it does so on a
 * busy machine too.
 */
const [workMs = 0, periodMs = 0, lastsMs = 0] = process.argv.slice(2).map(Number);
const pause = new Int32Array(new SharedArrayBuffer(4));
const began = performance.now();
const usedMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
for (let index = 0; ; index += 1) {
  const wait = began + index * periodMs - performance.now();
  if (wait > 0) Atomics.wait(pause, 0, 0, wait);
  if (performance.now() - began >= lastsMs) break;
  const until = usedMs() + workMs;
  while (usedMs() < until);
}
