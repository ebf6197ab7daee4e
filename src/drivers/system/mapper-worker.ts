import { Worker } from "node:worker_threads";
import { ConsortError } from "#base/errors.ts";
import { condensed } from "#planner/existing-load.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { Consolidation, ConsolidationProblem } from "#planner/consolidate.ts";
import type { Mapping, MappingProblem } from "#planner/mapping.ts";

export type MapperRequest = {
  readonly question:
    | { readonly kind: "place"; readonly problem: MappingProblem }
    | { readonly kind: "consolidate"; readonly problem: ConsolidationProblem };
  readonly seed: number;
  readonly effort: number;
  /** One 32-bit word; not 0: end with the best so far. */
  readonly stop: SharedArrayBuffer;
};

export type WorkerSolveOptions = { readonly seed: number; readonly effort?: number };

/** Up to so many declared appliances a thread takes longer to start than the answer. */
const inlineSpecs = 16;
const inlineReplicas = 32;

/** A mapper that does not hold up the manager: small problems at once, others in a thread of their own. */
export function mapperWorker(options: WorkerSolveOptions): {
  solve(problem: MappingProblem, signal: AbortSignal): Promise<Mapping>;
  consolidate(problem: ConsolidationProblem, signal: AbortSignal): Promise<Consolidation | undefined>;
} {
  return {
    async solve(problem, signal) {
      signal.throwIfAborted();
      const specs = problem.ensembles.flatMap((ensemble) => ensemble.appliances);
      const replicas = specs.reduce((sum, spec) => sum + spec.replicas, 0);
      const small = specs.length <= inlineSpecs && replicas <= inlineReplicas;
      if (small) return solveMapping(problem, options);
      // Copied to the thread, all that runs would hold up the manager for longer than the answer takes.
      return (await askThread({ kind: "place", problem: condensed(problem) }, options, signal)) as Mapping;
    },
    async consolidate(problem, signal) {
      const answer = await askThread({ kind: "consolidate", problem }, options, signal);
      return answer as Consolidation | undefined;
    },
  };
}

/**
 * The planner in a thread. Same question, seed and effort: same answer. An abort ends the thread and rejects
 * with the signal's reason; a crash rejects with `internal`.
 */
async function askThread(
  question: MapperRequest["question"],
  options: WorkerSolveOptions,
  signal: AbortSignal,
): Promise<Mapping | Consolidation | undefined> {
  signal.throwIfAborted();
  const stop = new SharedArrayBuffer(4);
  const request: MapperRequest = { question, seed: options.seed, effort: options.effort ?? 1, stop };
  const worker = new Worker(new URL("./mapper.worker.ts", import.meta.url), { workerData: request });
  const abandon = (): void => {
    Atomics.store(new Int32Array(stop), 0, 1);
    void worker.terminate();
  };
  signal.addEventListener("abort", abandon, { once: true });
  try {
    return await new Promise<Mapping | Consolidation | undefined>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", (cause) =>
        reject(
          new ConsortError("internal", `Cannot place appliances: the mapper failed: ${String(cause)}`, {
            cause,
          }),
        ),
      );
      worker.once("exit", (code) => {
        if (signal.aborted) reject(signal.reason);
        else
          reject(new ConsortError("internal", `Cannot place appliances: the mapper ended with code ${code}`));
      });
    });
  } finally {
    signal.removeEventListener("abort", abandon);
    await worker.terminate();
  }
}
