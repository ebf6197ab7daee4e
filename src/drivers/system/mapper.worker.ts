import { parentPort, workerData } from "node:worker_threads";
import type { MapperRequest } from "#drivers/system/mapper-worker.ts";
import { proposeConsolidation } from "#planner/consolidate.ts";
import { solveMapping } from "#planner/mapper.ts";

/** The thread's side: one question in, one answer out. */
const { question, seed, effort, stop } = workerData as MapperRequest;
const stopWord = new Int32Array(stop);
const options = { seed, effort, shouldStop: () => Atomics.load(stopWord, 0) !== 0 };
const answer =
  question.kind === "place"
    ? solveMapping(question.problem, options)
    : proposeConsolidation(question.problem, options);
parentPort?.postMessage(answer, []);
