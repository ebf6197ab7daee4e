import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { millis } from "#base/units.ts";
import { RuleBook } from "#control/adaptation/book.ts";
import { beginRule, isBeyond, stepRule, watchOf } from "#control/adaptation/rule.ts";
import type { Firing } from "#control/adaptation/rule.ts";
import type { MonitorSpec, StrategySpec } from "#model/ensemble.ts";

const video: MonitorSpec = {
  name: "video",
  appliance: "viewer",
  everyMs: millis(200),
  source: { kind: "rtp", port: 5004 },
};
const rule: StrategySpec = {
  name: "more-cpu",
  when: { metric: "video.jitter", comparison: ">", threshold: 20 },
  forMs: millis(1000),
  actions: [],
  cooldownMs: millis(5000),
};

/** Moments at which it fires, given (moment, value) pairs. */
function firings(
  strategy: StrategySpec,
  samples: readonly (readonly [number, number])[],
): (Firing & { atMs: number })[] {
  const watch = watchOf(strategy, [video]);
  let state = beginRule();
  return samples.flatMap(([atMs, value]) => {
    const step = stepRule(watch, state, { metric: "video.jitter", value, atMs: millis(atMs) });
    state = step.state;
    return step.firing === undefined ? [] : [{ ...step.firing, atMs }];
  });
}

const every = (periodMs: number, from: number, to: number, value: number): [number, number][] =>
  Array.from({ length: Math.floor((to - from) / periodMs) + 1 }, (_, index) => [
    from + index * periodMs,
    value,
  ]);

describe("a strategy", () => {
  it("fires when its metric was beyond the threshold for the whole time, and tells why", () => {
    const [firing, ...others] = firings(rule, every(200, 0, 1200, 31.4));
    assert.equal(firing?.atMs, 1000);
    assert.equal(firing.reason, "video.jitter was above 20 ms for 1s, 31.4 ms now");
    assert.deepEqual(others, []);
  });

  it("begins anew at a sample that is not beyond, also one exactly at the threshold", () => {
    const samples = [...every(200, 0, 800, 30), [1000, 20] as const, ...every(200, 1200, 2000, 30)];
    assert.deepEqual(firings(rule, samples), []);
    assert.equal(firings(rule, [...samples, [2200, 30]]).length, 1);
  });

  it("takes time without samples for no proof", () => {
    assert.deepEqual(
      firings(rule, [
        [0, 30],
        [1000, 30],
        [2000, 30],
        [3000, 30],
      ]),
      [],
    );
  });

  it("takes what is no number for no sample", () => {
    const samples = every(200, 0, 2000, 30).map(
      ([at, value]) => [at, at % 400 === 0 ? value : Number.NaN] as const,
    );
    assert.equal(firings(rule, samples)[0]?.atMs, 1200, "400 ms apart is still fresh");
    assert.deepEqual(firings(rule, every(200, 0, 5000, Number.POSITIVE_INFINITY)), []);
  });

  it("waits out its cooldown, and then the whole time again", () => {
    assert.deepEqual(
      firings(rule, every(200, 0, 13_000, 30)).map(({ atMs }) => atMs),
      [1000, 7000, 13_000],
    );
  });

  it("fires at once without a time to wait", () => {
    assert.equal(
      firings({ ...rule, forMs: millis(0) }, [[5, 21]])[0]?.reason,
      "video.jitter was above 20 ms, 21 ms now",
    );
  });

  it("fires again only after relief, where that is asked for", () => {
    const once = { ...rule, rearm: 10 };
    const bad = every(200, 0, 20_000, 30);
    assert.equal(firings(once, bad).length, 1);
    assert.equal(
      firings(once, [...bad, [20_200, 15], ...every(200, 20_400, 30_000, 30)]).length,
      1,
      "15 is no relief",
    );
    const relieved = firings(once, [...bad, [20_200, 10], ...every(200, 20_400, 30_000, 30)]);
    assert.deepEqual(
      relieved.map(({ atMs }) => atMs),
      [1000, 21_400],
    );
  });

  it("counts relief that came during the cooldown", () => {
    const samples = [...every(200, 0, 1000, 30), [1200, 5] as const, ...every(200, 1400, 8000, 30)];
    assert.equal(firings({ ...rule, rearm: 10 }, samples).length, 2);
  });

  it("is not held by a clock that began anew for longer than its cooldown", () => {
    const samples = [...every(200, 100_000, 101_000, 30), ...every(200, 0, 8000, 30)];
    assert.deepEqual(
      firings(rule, samples).map(({ atMs }) => atMs),
      [101_000, 6000],
    );
  });

  it("compares as its sign says", () => {
    const at = (comparison: ">" | ">=" | "<" | "<=") =>
      [1, 2, 3].map((value) => isBeyond({ metric: "", comparison, threshold: 2 }, value));
    assert.deepEqual(at(">"), [false, false, true]);
    assert.deepEqual(at(">="), [false, true, true]);
    assert.deepEqual(at("<"), [true, false, false]);
    assert.deepEqual(at("<="), [true, true, false]);
  });

  it("names ratios and rates with their units", () => {
    const loss = {
      ...rule,
      forMs: millis(0),
      when: { metric: "video.loss", comparison: ">=" as const, threshold: 0.005 },
    };
    const { firing } = stepRule(watchOf(loss, [video]), beginRule(), {
      metric: "video.loss",
      value: 0.0153,
      atMs: millis(0),
    });
    assert.equal(firing?.reason, "video.loss was at or above 0.5%, 1.53% now");
  });
});

/** Pauses in ms, now and then too long ones, each with what is measured after it, mostly beyond. */
const story = fc.array(
  fc.tuple(
    fc.oneof({ weight: 15, arbitrary: fc.integer({ min: 1, max: 500 }) }, fc.integer({ min: 501, max: 900 })),
    fc.oneof({ weight: 15, arbitrary: fc.constant(30) }, fc.constant(20)),
  ),
  { minLength: 50, maxLength: 200 },
);

describe("whatever comes", () => {
  it("every firing was preceded by fresh samples beyond for the whole time, and by a pause", () => {
    let fired = 0;
    fc.assert(
      fc.property(
        story,
        fc.integer({ min: 0, max: 3000 }),
        fc.integer({ min: 0, max: 4000 }),
        (steps, forMs, cooldownMs) => {
          let at = 0;
          const samples = steps.map(([step, value]): [number, number] => [(at += step), value]);
          let last = Number.NEGATIVE_INFINITY;
          for (const firing of firings(
            { ...rule, forMs: millis(forMs), cooldownMs: millis(cooldownMs) },
            samples,
          )) {
            fired += 1;
            assert.ok(firing.atMs - last >= cooldownMs + (last > 0 ? forMs : 0));
            last = firing.atMs;
            assert.ok(firing.forMs >= forMs);
            const run = samples.filter(([when]) => when >= firing.atMs - firing.forMs && when <= firing.atMs);
            assert.ok(run.every(([, value]) => value > 20));
            assert.ok(run.every(([when], index) => index === 0 || when - run[index - 1]![0] <= 500));
            assert.equal(run[0]?.[0], firing.atMs - firing.forMs, "the time begins with a sample");
          }
        },
      ),
    );
    assert.ok(fired > 20, `only ${fired} firings seen`);
  });
});

describe("RuleBook", () => {
  const beyond = (atMs: number) => ({ metric: "video.jitter", value: 30, atMs: millis(atMs) });

  it("keeps what unchanged strategies have seen, and begins changed ones anew", () => {
    const book = new RuleBook();
    const other = { ...rule, name: "other" };
    book.set([rule, other], [video]);
    for (let at = 0; at < 1000; at += 200) assert.deepEqual(book.take(beyond(at)), []);
    book.set([structuredClone(rule), { ...other, cooldownMs: millis(1) }], [video]);
    assert.deepEqual(
      book.take(beyond(1000)).map((firing) => firing.rule),
      ["more-cpu"],
    );
  });

  it("tells whether a metric matters to it", () => {
    const book = new RuleBook();
    assert.equal(book.watches("video.jitter"), false);
    book.set([rule], [video]);
    assert.equal(book.watches("video.jitter"), true);
    assert.deepEqual(book.take({ ...beyond(0), metric: "video.loss" }), []);
  });
});
