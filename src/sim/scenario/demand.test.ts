import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { milliCpu, millis } from "#base/units.ts";
import { parsePlanetlab } from "#formats/planetlab.ts";
import { syntheticDefaults } from "#formats/scenario-demand.ts";
import { sampleEnsemble } from "#model/sample.ts";
import { arrivals } from "#sim/scenario/arrivals.ts";
import { Demands, names } from "#sim/scenario/demand.ts";
import { syntheticSamples } from "#sim/scenario/synthetic.ts";

const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
const deviation = (values: readonly number[]): number => {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((one) => (one - middle) ** 2)));
};
function autocorrelation(values: readonly number[]): number {
  const middle = mean(values);
  const next = values.slice(1).map((one, index) => (one - middle) * ((values[index] ?? 0) - middle));
  return next.reduce((sum, one) => sum + one, 0) / values.reduce((sum, one) => sum + (one - middle) ** 2, 0);
}
const figures = (series: readonly (readonly number[])[]) => ({
  mean: mean(series.flat()),
  spread: deviation(series.flat()),
  within: mean(series.map(deviation)),
  autocorrelation: mean(series.map(autocorrelation)),
});

function excerpt(): number[][] {
  const folder = join(import.meta.dirname, "../../../examples/planetlab");
  return readdirSync(folder)
    .filter((name) => !name.startsWith("README"))
    .map((name) => {
      const parsed = parsePlanetlab(readFileSync(join(folder, name), "utf8"), name);
      assert.ok(parsed.ok);
      return [...parsed.value.percents];
    });
}

test("synthetic demand has the mean, the spread and the memory of the published traces", () => {
  const published = figures(excerpt());
  const drawn = figures(
    Array.from({ length: 400 }, (_, seed) => [
      ...syntheticSamples(syntheticDefaults, 288, seededRandom(seed + 1)),
    ]),
  );
  const near = (a: number, b: number, share: number): boolean => Math.abs(a - b) <= share * b;
  const told = JSON.stringify({ published, drawn });
  assert.ok(near(drawn.mean, published.mean, 0.35), told);
  assert.ok(near(drawn.spread, published.spread, 0.35), told);
  assert.ok(near(drawn.within, published.within, 0.35), told);
  assert.ok(Math.abs(drawn.autocorrelation - published.autocorrelation) < 0.06, told);
  // White noise alone, or a slow walk, would not do.
  const walk = figures(
    Array.from({ length: 50 }, (_, seed) => [
      ...syntheticSamples({ ...syntheticDefaults, memory: 0.9 }, 288, seededRandom(seed + 1)),
    ]),
  );
  assert.ok(walk.autocorrelation > 0.5, JSON.stringify(walk));
});

test("equal seeds draw equal demand, from 0 to 100", () => {
  const draw = (seed: number) => [
    ...syntheticSamples({ ...syntheticDefaults, noise: 3 }, 500, seededRandom(seed)),
  ];
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  assert.ok(draw(7).every((one) => one >= 0 && one <= 100));
});

test("the first rule that names an appliance holds; without one it uses what it is promised", () => {
  const demands = new Demands({
    rules: [
      { of: "shop/web-*", curve: { kind: "constant", milli: milliCpu(700) } },
      {
        of: "shop",
        curve: {
          kind: "steps",
          steps: [
            { fromMs: millis(10), milli: milliCpu(1) },
            { fromMs: millis(20), milli: milliCpu(2) },
          ],
        },
      },
      {
        of: "t*",
        curve: { kind: "trace", traces: [trace("x", 50), trace("y", 10)], fullMilli: milliCpu(2000) },
      },
      {
        of: "wave",
        curve: {
          kind: "sine",
          meanMilli: milliCpu(100),
          amplitudeMilli: milliCpu(50),
          periodMs: millis(1000),
          peakMs: millis(250),
        },
      },
    ],
    seed: 1,
    durationMs: 1000,
    declaredAs: () => undefined,
    promisedMilli: (id) => (id === "other/one" ? 1500 : undefined),
    usedMilli: { "seen/one": 42 },
  });
  assert.equal(demands.milliAt("shop/web-2", 0), 700);
  assert.deepEqual(
    [0, 10, 19, 20].map((at) => demands.milliAt("shop/db", at)),
    [0, 1, 1, 2],
  );
  assert.deepEqual(
    ["t1/a", "t2/a", "t3/a", "t1/a"].map((id) => demands.milliAt(id, 0)),
    [1000, 200, 1000, 1000],
  );
  assert.deepEqual(
    [250, 750].map((at) => Math.round(demands.milliAt("wave/a", at))),
    [150, 50],
  );
  assert.equal(demands.milliAt("other/one", 5), 1500);
  assert.equal(demands.milliAt("seen/one", 5), 42);
  assert.equal(demands.milliAt("nobody/one", 5), 100);
});

const trace = (name: string, percent: number) => ({ name, percents: [percent] });

test("a pattern takes dots and brackets for what they are", () => {
  assert.ok(names("*", "a/b"));
  assert.ok(names("a/*", "a/b") && !names("a/*", "aa/b"));
  assert.ok(!names("a.*", "ab/c"));
});

test("arrivals come at the rate asked for, each leaves after its life, and no two have one name", () => {
  const load = {
    ensemble: sampleEnsemble("job"),
    perMs: 1 / 1000,
    lifetime: { kind: "exponential" as const, meanMs: millis(5000) },
    fromMs: millis(0),
    untilMs: millis(2_000_000),
    most: 10_000,
  };
  const steps = arrivals(load, 2_100_000, seededRandom(3));
  const came = steps.flatMap((step) => (step.kind === "up" ? [step] : []));
  assert.ok(Math.abs(came.length - 2000) < 200, String(came.length));
  assert.equal(new Set(came.map((step) => step.ensemble.name)).size, came.length);
  const left = new Map(steps.flatMap((step) => (step.kind === "down" ? [[step.ensemble, step.atMs]] : [])));
  const lives = came.flatMap((step) => {
    const at = left.get(step.ensemble.name);
    return at === undefined ? [] : [at - step.atMs];
  });
  assert.ok(lives.every((life) => life >= 0) && Math.abs(mean(lives) - 5000) < 600, String(mean(lives)));
  assert.deepEqual(steps, arrivals(load, 2_100_000, seededRandom(3)));
  assert.equal(
    arrivals({ ...load, most: 5 }, 2_100_000, seededRandom(3)).filter((s) => s.kind === "up").length,
    5,
  );
});
