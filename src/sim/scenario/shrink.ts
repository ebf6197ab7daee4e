import type { Breach } from "#sim/checks/breach.ts";
import type { Fault } from "#sim/fault.ts";
import type { Play } from "#sim/scenario/play.ts";
import { playScenario } from "#sim/scenario/run.ts";
import type { RunOptions } from "#sim/scenario/run.ts";
import { shrinkList } from "#sim/swarm/shrink.ts";

/** The faults of a scenario without which the same invariant is not broken; the fewest found in so many runs. */
export async function shrinkPlay(
  play: Play,
  breach: Breach,
  options: Pick<RunOptions, "signal" | "settings"> & { readonly runs: number },
): Promise<readonly Fault[]> {
  const faults = play.steps.flatMap((step) => (step.kind === "fault" ? [step.fault] : []));
  const others = play.steps.filter((step) => step.kind !== "fault");
  let left = options.runs;
  return shrinkList<(typeof faults)[number]>(faults, async (some) => {
    left -= 1;
    if (left < 0 || options.signal.aborted) return false;
    const steps = [...others, ...some.map((fault) => ({ kind: "fault" as const, atMs: fault.atMs, fault }))];
    const result = await playScenario({ ...play, steps }, options);
    return result.breach?.invariant === breach.invariant;
  });
}
