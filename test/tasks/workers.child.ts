import { readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { Worker, isMainThread, parentPort } from "node:worker_threads";

/**
 * A program of two busy threads, whose numbers it tells; another one answers whatever it is told.
 */
if (isMainThread) {
  for (let each = 0; each < 2; each += 1)
    new Worker(new URL(import.meta.url)).on("message", (tid: number) => console.log(`thread ${tid}`));
  for await (const line of createInterface({ input: process.stdin })) console.log(`heard ${line}`);
  process.exit();
} else {
  const tid = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  parentPort?.postMessage(tid, []);
  // It is told before this thread does nothing else any more.
  setImmediate(() => {
    for (;;);
  });
}
