import { Worker } from "node:worker_threads";
import { ConsortError } from "#base/errors.ts";
import { appliancesOf } from "#model/appliances.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { Mapping, MappingProblem } from "#planner/mapping.ts";

/** Below this many appliance × host pairs a mapping takes less time than starting a thread does. */
const inlinePairsMax = 2000;

/**
 * Solves mappings: small ones at once, large ones in a thread, so that the manager goes on answering meanwhile.
 * The same problem and seed give the same mapping either way.
 */
export function mapperWorker(options: { readonly seed: number }): {
  solve(problem: MappingProblem, signal: AbortSignal): Promise<Mapping>;
} {
  return {
    async solve(problem, signal) {
      signal.throwIfAborted();
      const appliances = problem.ensembles.reduce((sum, one) => sum + appliancesOf(one).length, 0);
      if (appliances * problem.topology.hosts.length <= inlinePairsMax) {
        return solveMapping(problem, { seed: options.seed });
      }
      return inThread(problem, options.seed, signal);
    },
  };
}

function inThread(problem: MappingProblem, seed: number, signal: AbortSignal): Promise<Mapping> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("mapper.worker.ts", import.meta.url), {
      workerData: { problem, seed },
    });
    const stop = (): void => {
      reject(signal.reason);
      void worker.terminate();
    };
    signal.addEventListener("abort", stop, { once: true });
    worker.once("message", (mapping: Mapping) => resolve(mapping));
    worker.once("error", reject);
    worker.once("exit", () => {
      signal.removeEventListener("abort", stop);
      reject(new ConsortError("internal", "Cannot map: the mapper's thread ended without an answer"));
    });
  });
}
