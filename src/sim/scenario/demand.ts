import { percentAt } from "#formats/planetlab.ts";
import type { Trace } from "#formats/planetlab.ts";
import type { PlayCurve, PlayDemand } from "#sim/scenario/play.ts";
import { randomOf } from "#sim/scenario/gaussian.ts";
import { syntheticSamples } from "#sim/scenario/synthetic.ts";
import type { Demand } from "#sim/settings.ts";

type DemandParts = {
  readonly rules: readonly PlayDemand[];
  readonly seed: number;
  readonly durationMs: number;
  /** What an appliance is promised, in thousandths of a core; undefined: nothing. */
  readonly promisedMilli: (appliance: string) => number | undefined;
  /** The name it shares with other replicas. */
  readonly declaredAs: (appliance: string) => string | undefined;
  /** What it was seen to use before the run began. */
  readonly usedMilli: Readonly<Record<string, number>>;
};

/** Where nothing is promised, 100% of a curve is one core. */
const fullUnlessPromised = 1000;
/** What an appliance uses of which nothing is said, promised or known. */
const quietMilli = 100;

/** What each appliance would use if it were given it. The first rule that names it holds; with none, what it used before the run, or all it is promised. */
export class Demands {
  readonly #parts: DemandParts;
  readonly #demands = new Map<string, Demand>();
  readonly #tracesGiven = new Map<PlayDemand, number>();

  constructor(parts: DemandParts) {
    this.#parts = parts;
  }

  milliAt(appliance: string, atMs: number): number {
    const demand = this.demandOf(appliance);
    return typeof demand === "number" ? demand : demand(atMs);
  }

  demandOf(appliance: string): Demand {
    let demand = this.#demands.get(appliance);
    if (demand === undefined) {
      demand = this.#find(appliance);
      this.#demands.set(appliance, demand);
    }
    return demand;
  }

  #find(appliance: string): Demand {
    const { rules, promisedMilli, usedMilli, declaredAs } = this.#parts;
    const declared = declaredAs(appliance);
    const rule = rules.find(({ of }) => names(of, appliance, declared));
    const promised = promisedMilli(appliance);
    if (rule === undefined) {
      return usedMilli[appliance] ?? promised ?? quietMilli;
    }
    const { curve } = rule;
    const full = "fullMilli" in curve ? curve.fullMilli : undefined;
    const perPercent = (full ?? promised ?? fullUnlessPromised) / 100;
    if (curve.kind === "trace") return traced(this.#nextTrace(rule, curve.traces), perPercent);
    return drawn(curve, perPercent, () => {
      const { seed, durationMs } = this.#parts;
      if (curve.kind !== "synthetic") return new Float32Array();
      const count = Math.ceil(durationMs / curve.shape.periodMs) + 1;
      return syntheticSamples(curve.shape, count, randomOf(seed, appliance));
    });
  }

  /** Each appliance has the next one; when all are given, the first again. */
  #nextTrace(rule: PlayDemand, traces: readonly Trace[]): Trace | undefined {
    const given = this.#tracesGiven.get(rule) ?? 0;
    this.#tracesGiven.set(rule, given + 1);
    return traces[given % traces.length];
  }
}

const traced =
  (trace: Trace | undefined, perPercent: number): Demand =>
  (atMs) =>
    trace === undefined ? 0 : percentAt(trace, atMs) * perPercent;

function drawn(
  curve: Exclude<PlayCurve, { kind: "trace" }>,
  perPercent: number,
  samplesOf: () => Float32Array,
): Demand {
  switch (curve.kind) {
    case "constant":
      return curve.milli;
    case "steps":
      return (atMs) => curve.steps.findLast(({ fromMs }) => fromMs <= atMs)?.milli ?? 0;
    case "sine":
      return (atMs) =>
        Math.max(
          0,
          curve.meanMilli +
            curve.amplitudeMilli * Math.cos((2 * Math.PI * (atMs - curve.peakMs)) / curve.periodMs),
        );
    case "synthetic": {
      const samples = samplesOf();
      return (atMs) => (samples[Math.floor(atMs / curve.shape.periodMs) % samples.length] ?? 0) * perPercent;
    }
    default:
      return curve satisfies never;
  }
}

/** "shop", "shop/web-1", "web-1" and patterns of these with "*" name the appliance "shop/web-1". */
export function names(pattern: string, appliance: string, declared?: string): boolean {
  const [ensemble = "", name = ""] = appliance.split("/", 2);
  const all = [appliance, ensemble, name];
  if (declared !== undefined) all.push(declared, `${ensemble}/${declared}`);
  if (!pattern.includes("*")) return all.includes(pattern);
  const shape = new RegExp(
    `^${pattern
      .split("*")
      .map((part) => part.replaceAll(/[^\w/-]/g, "\\$&"))
      .join(".*")}$`,
  );
  return all.some((text) => shape.test(text));
}
