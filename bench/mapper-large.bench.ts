import { hostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { mebibytes, megabitsPerSecond, milliCpu } from "#base/units.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { Topology } from "#model/topology.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { MappingProblem, PlacedEnsemble } from "#planner/mapping.ts";
import { plantedTopology } from "#planner/planted-topology.ts";
import { range } from "./harness.ts";
import type { BenchRow, Benchmark } from "./harness.ts";

const hosts = 10_000;
const ensembles = 5000;
const appliances = 20;
const runs = 20;
const aimMs = 100;
/** Hosts side by side over which each ensemble that runs is strewn. */
const near = 16;

/** A ring with promised bandwidth, a third of its links of low latency. */
function ring(name: string): Ensemble {
  const cpu = { kind: "share" as const, shareMilli: milliCpu(300), limitMilli: milliCpu(300) };
  return sampleEnsemble(name, {
    appliances: Array.from({ length: appliances }, (_, index) =>
      sampleAppliance(`a${index}`, { cpu, memoryBytes: mebibytes(64) }),
    ),
    links: Array.from({ length: appliances }, (_, index) =>
      sampleLink(`a${index}`, `a${(index + 1) % appliances}`, {
        bandwidthBps: megabitsPerSecond(2),
        latency: index % 3 === 0 ? "low" : "high",
      }),
    ),
  });
}

function running(topology: Topology): PlacedEnsemble[] {
  const random = seededRandom(7);
  return Array.from({ length: ensembles }, (_, number): PlacedEnsemble => {
    const ensemble = ring(`e${number}`);
    const centre = random.integer(topology.hosts.length);
    const placements = appliancesOf(ensemble).map(({ id }) => {
      const host = topology.hosts[(centre + random.integer(near)) % topology.hosts.length];
      return [id, host?.id ?? hostId("none")] as const;
    });
    return { ensemble, placements: new Map(placements) };
  });
}

export const benchmark: Benchmark = {
  name: "mapper-large",
  about:
    "Placing 20 appliances on 10,000 hosts that run 100,000 in 5,000 ensembles: the first question and those after",
  async run({ signal, progress }) {
    const rows: BenchRow[] = [];
    for (const network of ["tree", "fat-tree"] as const) {
      const topology = plantedTopology({ network, hosts, sites: 4 }, seededRandom(1));
      const existing = running(topology);
      const times: number[] = [];
      let broken = 0;
      for (let run = 0; run <= runs; run += 1) {
        signal.throwIfAborted();
        const problem: MappingProblem = { topology, ensembles: [ring(`new${run}`)], existing };
        const started = performance.now();
        const mapping = solveMapping(problem, { seed: run });
        times.push(performance.now() - started);
        broken += lintMapping(problem, mapping).length;
        await new Promise((resolve) => setImmediate(resolve));
      }
      const [first = 0, ...warm] = times;
      progress(`${network}: first ${Math.round(first)} ms, then ${Math.round(range(warm).value)} ms`);
      const name = `20 appliances, ${network} of ${hosts} hosts with ${ensembles * appliances} appliances`;
      const row = (
        metric: string,
        unit: string,
        aim: string,
        values: readonly number[],
        ok: boolean,
      ): BenchRow => ({
        case: name,
        metric,
        unit,
        reference: "-",
        aim,
        ...range(values),
        ok,
      });
      rows.push(
        row("first question", "ms", "-", [first], true),
        row("question when warm", "ms", `<= ${aimMs}`, warm, range(warm).value <= aimMs),
        row("broken promises", "", "0", [broken], broken === 0),
      );
    }
    return rows;
  },
};
