import { parentPort, workerData } from "node:worker_threads";
import type { MapperRequest } from "#drivers/system/mapper-worker.ts";
import { solveMapping } from "#planner/mapper.ts";

/** The thread's side: one problem in, one mapping out. */
const request = workerData as MapperRequest;
const stop = new Int32Array(request.stop);
const mapping = solveMapping(request.problem, {
  seed: request.seed,
  effort: request.effort,
  shouldStop: () => Atomics.load(stop, 0) !== 0,
});
parentPort?.postMessage(mapping, []);
