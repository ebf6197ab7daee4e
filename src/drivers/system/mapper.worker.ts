import { parentPort, workerData } from "node:worker_threads";
import { solveMapping } from "#planner/mapper.ts";
import type { MappingProblem } from "#planner/mapping.ts";

/** One problem in, one mapping out, in a thread of its own. */
const { problem, seed } = workerData as { problem: MappingProblem; seed: number };
parentPort?.postMessage(solveMapping(problem, { seed }));
