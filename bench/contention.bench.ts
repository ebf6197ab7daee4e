import { join } from "node:path";
import { runContention } from "#cli/tour/contention.ts";
import type { ContentionCase } from "#cli/tour/contention.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { readEnsembleFile } from "../test/rig/rig.ts";
import { quantile } from "#base/quantiles.ts";
import { formatFigure, range } from "./harness.ts";
import type { Benchmark, BenchRow } from "./harness.ts";
import { withManagedLab } from "./managed-lab.ts";

/**
 * The experiment of `npm start`, several times: every round measures alone, unmanaged and managed one after the
 * other, and gives one quotient of each, so that what else the machine does meets all three.
 */
const rounds = 5;
const seconds = 6;
const requestsPerSecond = 150;
const aim = 1.1;
const reference = "deva.md: up to 4x unmanaged";
const example = (name: string): string => join(import.meta.dirname, "../examples", name);

export const benchmark: Benchmark = {
  name: "contention",
  about: "Response times of HTTP under a bulk transfer over the same link, against HTTP alone",
  run: ({ signal, progress }) =>
    withManagedLab("benchcont", defaultLabTopology(2, 2), signal, async (rig) => {
      const unmanaged = readEnsembleFile(example("contention-unmanaged.yaml"));
      const managed = readEnsembleFile(example("contention.yaml"));
      const cloud = {
        up: (ensemble: Ensemble, stop: AbortSignal) => rig.up(ensemble, stop),
        exec: (appliance: string, command: readonly string[], stop: AbortSignal) =>
          rig.exec(managed.name, appliance, command, stop),
      };
      const results: ContentionCase[][] = [];
      for (let round = 0; round < rounds; round += 1) {
        const told = (line: string): void => progress(`round ${round + 1} of ${rounds}: ${line}`);
        const options = { seconds, requestsPerSecond, progress: told };
        results.push(await runContention(cloud, { unmanaged, managed }, options, signal));
      }
      return [0.5, 0.99].flatMap((fraction) => [
        row(results, "unmanaged", fraction),
        row(results, "managed", fraction),
      ]);
    }),
};

function row(
  results: readonly ContentionCase[][],
  name: "unmanaged" | "managed",
  fraction: number,
): BenchRow {
  const of = (round: readonly ContentionCase[], which: ContentionCase["name"]): number =>
    quantile(round.find((one) => one.name === which)?.responseMs ?? [], fraction);
  const figures = range(results.map((round) => of(round, name) / of(round, "alone")));
  const alone = range(results.map((round) => of(round, "alone")));
  return {
    case: `${name}, bulk transfer running`,
    metric: `p${fraction * 100} ÷ alone (alone: ${formatFigure(alone.value)} ms)`,
    unit: "x",
    reference,
    aim: name === "managed" ? `<= ${aim}` : "-",
    ...figures,
    ok: name === "unmanaged" || figures.value <= aim,
  };
}
