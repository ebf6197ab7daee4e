import { seededRandom } from "#base/seeded-random.ts";
import { connectionTypes } from "#model/topology.ts";
import type { ConnectionType } from "#model/topology.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import { plantProblem } from "#planner/planted.ts";
import type { PlantedShape } from "#planner/planted.ts";
import { range } from "./harness.ts";
import type { BenchRow, Benchmark } from "./harness.ts";

type Size = {
  readonly appliances: number;
  readonly hosts: number;
  readonly aimMs: number;
  readonly reference: string;
  /** Seconds spent on it at most; shapes are drawn until then. */
  readonly budgetMs: number;
};

const assign = (seconds: number): string =>
  `Emulab assign ${seconds} s, 1/3 to 2/3 of problems left violated`;
const sizes: readonly Size[] = [
  { appliances: 10, hosts: 8, aimMs: 200, reference: "-", budgetMs: 5000 },
  { appliances: 100, hosts: 100, aimMs: 200, reference: assign(3), budgetMs: 15_000 },
  { appliances: 250, hosts: 100, aimMs: 500, reference: assign(12), budgetMs: 25_000 },
  { appliances: 500, hosts: 100, aimMs: 1000, reference: assign(29), budgetMs: 45_000 },
  { appliances: 2000, hosts: 1000, aimMs: 10_000, reference: "-", budgetMs: 140_000 },
];

/** Every graph, network, load and number of sites, in an order that mixes them early. */
function shapesOf(size: Size): PlantedShape[] {
  const shapes: PlantedShape[] = [];
  for (const sites of [4, 1, 2]) {
    for (const load of [0.9, 0.6, 0.3]) {
      for (const graph of ["random3", "star", "ring", "tree"] as const) {
        for (const network of ["fat-tree", "tree"] as const)
          shapes.push({ ...size, sites, load, graph, network });
      }
    }
  }
  const random = seededRandom(size.appliances);
  return shapes
    .map((shape) => ({ shape, key: random.next() }))
    .sort((a, b) => a.key - b.key)
    .map((one) => one.shape);
}

type Outcome = {
  readonly ms: number;
  /** Findings of the linter, which shares nothing with the mapper. */
  readonly violations: number;
  readonly ratio: number;
  readonly share: Readonly<Record<ConnectionType, number>>;
};

function solveOne(shape: PlantedShape, seed: number): Outcome {
  const { topology, ensemble, bandwidthHopsBps } = plantProblem(shape, seededRandom(seed));
  const problem = { topology, ensembles: [ensemble], existing: [] };
  const started = performance.now();
  const mapping = solveMapping(problem, { seed });
  const ms = performance.now() - started;
  const count = (type: ConnectionType): number =>
    (100 * mapping.paths.filter((path) => path.connection === type).length) / mapping.paths.length;
  return {
    ms,
    violations: lintMapping(problem, mapping).length,
    ratio: bandwidthHopsBps === 0 ? 0 : mapping.cost.bandwidthHopsBps / bandwidthHopsBps,
    share: {
      trivial: count("trivial"),
      direct: count("direct"),
      "intra-switch": count("intra-switch"),
      "inter-switch": count("inter-switch"),
      "inter-router": count("inter-router"),
    },
  };
}

function rowsOf(size: Size, outcomes: readonly Outcome[]): BenchRow[] {
  const name = `${size.appliances} appliances on ${size.hosts} hosts, ${outcomes.length} shapes`;
  const row = (metric: string, unit: string, reference: string, aim: string, values: readonly number[]) => ({
    case: name,
    metric,
    unit,
    reference,
    aim,
    ...range(values),
  });
  const ms = row(
    "time to place",
    "ms",
    size.reference,
    `<= ${size.aimMs} (longest)`,
    outcomes.map((one) => one.ms),
  );
  const violated = outcomes.filter((one) => one.violations > 0).length;
  const total = outcomes.reduce((sum, one) => sum + one.violations, 0);
  const share = (100 * violated) / outcomes.length;
  const broken = row("planted problems left with violations", "%", "33 to 67", "0", [share]);
  const ratio = row(
    "bandwidth x hops / planted",
    "ratio",
    "-",
    "<= 1 (highest)",
    outcomes.map((one) => one.ratio),
  );
  return [
    { ...ms, ok: ms.high <= size.aimMs },
    { ...broken, ok: violated === 0 },
    { ...row("violations in all", "", "-", "0", [total]), ok: total === 0 },
    { ...ratio, ok: ratio.high <= 1 },
    ...connectionTypes
      .filter((type) => type !== "direct")
      .map((type) => ({
        ...row(
          `links ${type}`,
          "%",
          "-",
          "-",
          outcomes.map((one) => one.share[type]),
        ),
        ok: true,
      })),
  ];
}

export const benchmark: Benchmark = {
  name: "mapper",
  about:
    "Placing planted problems, in trees and fat trees over 1 to 4 sites, request graphs of four kinds, load 30 to 90%",
  async run({ signal, progress }) {
    const rows: BenchRow[] = [];
    // A manager that has just started compiles while it places; a first small problem stands for that.
    solveOne(shapesOf(sizes[0]!)[0]!, 1);
    for (const size of sizes) {
      const outcomes: Outcome[] = [];
      const started = performance.now();
      const seed = Math.floor(started * 1000) % 1_000_003;
      for (const [index, shape] of shapesOf(size).entries()) {
        if (performance.now() - started > size.budgetMs) break;
        signal.throwIfAborted();
        const outcome = solveOne(shape, seed + index);
        outcomes.push(outcome);
        const { network, graph, load, sites } = shape;
        const verdict = outcome.violations > 0 ? "VIOLATED" : "kept";
        progress(
          `${size.appliances}/${size.hosts} ${network} ${graph} ${load} ${sites} sites seed ${seed + index}: ` +
            `${Math.round(outcome.ms)} ms, ${verdict}, ${outcome.ratio.toFixed(2)} of planted`,
        );
        await new Promise((resolve) => setImmediate(resolve));
      }
      rows.push(...rowsOf(size, outcomes));
    }
    return rows;
  },
};
