import { errorTable } from "#base/errors.ts";
import type { Arguments } from "#cli/arguments.ts";
import type { CommandContext } from "#cli/command.ts";
import { progressOn } from "#cli/progress.ts";
import { count } from "#cli/quantities.ts";
import { describeFailure, reproduceLine } from "#sim/swarm/describe.ts";
import { runSeed, shrinkSeed } from "#sim/swarm/run-seed.ts";
import type { SeedOutcome } from "#sim/swarm/run-seed.ts";

/** Runs tried to make a failing case smaller. */
const shrinkRuns = 200;

/** Random clouds, workloads and faults, one for each seed. Exit code 1 when an invariant was broken. */
export async function runSwarm(
  seeds: readonly number[],
  given: Arguments,
  context: CommandContext,
): Promise<number> {
  const progress = progressOn(context);
  const { terminal, signal } = context;
  const json = given.has("json");
  const outcomes: SeedOutcome[] = [];
  const failed: SeedOutcome[] = [];
  for (const seed of seeds) {
    if (signal.aborted) break;
    // Elsewhere than on a terminal every line would stay.
    if (!json && terminal.errIsTerminal)
      progress.show(`seed ${seed}: ${outcomes.length} of ${seeds.length} run, ${failed.length} broken`);
    const outcome = await runSeed(seed);
    outcomes.push(outcome);
    if (given.has("trace") && !json) terminal.out(`${outcome.trace.join("\n")}\n`);
    if (outcome.violation === undefined) continue;
    if (!json) progress.show(`seed ${seed} breaks ${outcome.violation.invariant}: making it smaller`);
    const smaller = await shrinkSeed(outcome, shrinkRuns);
    failed.push(smaller);
    progress.end();
    if (!json) terminal.out(`${describeFailure(smaller)}\n`);
  }
  progress.end();
  const events = outcomes.reduce((sum, one) => sum + one.events, 0);
  const simulatedMs = outcomes.reduce((sum, one) => sum + one.simulatedMs, 0);
  if (json) {
    const told = outcomes.map(({ seed, violation, events: of, simulatedMs: ms, traceHash }) => ({
      seed,
      violation,
      events: of,
      simulatedMs: ms,
      traceHash,
      ...(violation === undefined ? {} : { again: reproduceLine(seed) }),
    }));
    terminal.out(`${JSON.stringify({ interrupted: signal.aborted, seeds: told }, undefined, 2)}\n`);
  } else {
    const left = signal.aborted ? `; interrupted, ${seeds.length - outcomes.length} not run` : "";
    const hours = (simulatedMs / 3_600_000).toFixed(2);
    terminal.out(
      `${count(outcomes.length, "seed")}, ${failed.length} broken; ${events} events in ${hours} simulated hours${left}\n`,
    );
  }
  if (failed.length > 0) return 1;
  return signal.aborted ? errorTable.cancelled.exit : 0;
}
