import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { seededRandom } from "#base/seeded-random.ts";
import { estimate, isTight, student95 } from "#control/profile/confidence.ts";
import { demandPerPeriod, profileOf } from "#control/profile/profile.ts";
import type { ProgramRun } from "#control/profile/profile.ts";
import { proposalOf } from "#control/profile/proposal.ts";
import { rhythmOf } from "#control/profile/rhythm.ts";
import type { CpuSample } from "#control/profile/rhythm.ts";
import { profileOfUse } from "#control/profile/use.ts";

const near = (actual: number | undefined, wanted: number, by: number): void =>
  assert.ok(actual !== undefined && Math.abs(actual - wanted) <= by, `${actual}, not ${wanted} ± ${by}`);

/** A program that works `workMs` at the begin of every period, looked at about every 2 ms for `lastsMs`. */
function working(periodMs: number, workMs: number, lastsMs: number, seed = 1): CpuSample[] {
  const random = seededRandom(seed);
  const samples: CpuSample[] = [];
  for (let atMs = 0; atMs <= lastsMs; atMs += 1 + random.next() * 2) {
    const whole = Math.floor(atMs / periodMs);
    samples.push({ atMs, cpuMs: whole * workMs + Math.min(workMs, atMs - whole * periodMs) });
  }
  return samples;
}

const run = (samples: readonly CpuSample[], fields: Partial<ProgramRun> = {}): ProgramRun => ({
  samples,
  memoryPeakBytes: 0,
  ...fields,
});

describe("estimate()", () => {
  it("is Student's 95% interval", () => {
    const { mean, halfWidth } = estimate([9, 10, 11]);
    assert.equal(mean, 10);
    near(halfWidth, 4.303 / Math.sqrt(3), 1e-9);
    assert.equal(estimate([5]).halfWidth, Number.POSITIVE_INFINITY);
    assert.ok(Number.isNaN(estimate([]).mean));
  });

  it("goes on beyond its table where the table ends", () => {
    near(student95(31), 2.0395, 0.0005);
    near(student95(60), 2.0003, 0.0005);
    near(student95(1000), 1.9623, 0.0005);
  });

  it("holds the true mean about 95 times of 100", () => {
    const random = seededRandom(7);
    let holds = 0;
    for (let trial = 0; trial < 1000; trial += 1) {
      // The sum of twelve is close to normal, around 6.
      const samples = Array.from({ length: 8 }, () =>
        Array.from({ length: 12 }, () => random.next()).reduce((a, b) => a + b),
      );
      const { mean, halfWidth } = estimate(samples);
      if (Math.abs(mean - 6) <= halfWidth) holds += 1;
    }
    assert.ok(holds > 930 && holds < 970, `${holds} of 1000`);
  });

  it("is tight when it is known to a part of itself", () => {
    assert.equal(isTight({ mean: 100, halfWidth: 2 }, 0.02), true);
    assert.equal(isTight({ mean: 100, halfWidth: 2.1 }, 0.02), false);
    assert.equal(isTight(estimate([5]), 0.02), false);
  });
});

describe("rhythmOf()", () => {
  it("finds at which period a program works and rests", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 200 }),
        fc.double({ min: 0.1, max: 0.7, noNaN: true }),
        (periodMs, part) => {
          near(
            rhythmOf([working(periodMs, periodMs * part, 4000)]),
            periodMs,
            Math.max(0.5, periodMs * 0.02),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it("finds the period of a program that keeps time badly, from several runs of it", () => {
    const runs = [1, 2, 3, 4, 5, 6].map((seed) => {
      const random = seededRandom(seed);
      let cpuMs = 0;
      return Array.from({ length: 100 }, (_, index) => {
        const atMs = index * 40 + random.next() * 20;
        const before = { atMs, cpuMs };
        cpuMs += 1;
        return [before, { atMs: atMs + 1, cpuMs }];
      }).flat();
    });
    near(rhythmOf(runs), 40, 0.5);
  });

  it("finds none in what never rests, never works, works by chance, or is over at once", () => {
    assert.equal(rhythmOf([working(40, 40, 4000)]), undefined);
    assert.equal(rhythmOf([working(40, 0, 4000)]), undefined);
    assert.equal(rhythmOf([[]]), undefined);
    assert.equal(rhythmOf([working(40, 10, 8)]), undefined);
    const random = seededRandom(3);
    let cpuMs = 0;
    const chance = Array.from({ length: 4000 }, (_, atMs) => ({
      atMs,
      cpuMs: (cpuMs += random.next() < 0.3 ? 1 : 0),
    }));
    assert.equal(rhythmOf([chance]), undefined);
  });

  it("takes the ticks at which a kernel counts for no rhythm", () => {
    const random = seededRandom(5);
    let cpuMs = 0;
    // It never rests, and now and then somebody else has the processor from one tick to the next.
    const counted = Array.from({ length: 4000 }, (_, atMs) => ({
      atMs,
      cpuMs: (cpuMs += atMs % 4 === 0 && random.next() < 0.93 ? 4 : 0),
    }));
    assert.equal(rhythmOf([counted]), undefined);
  });
});

describe("profileOf()", () => {
  const wish = { coveredPart: 0.99 };

  it("is C = U·T: a stream of 14.19% at 25 frames a second wants 5.68 ms of 40 (reference vtm.md)", () => {
    const runs = [1, 2, 3].map((seed) => run(working(40, 0.1419 * 40, 10_000, seed)));
    const profile = profileOf(runs, wish);
    near(profile.utilisation.mean, 0.1419, 0.001);
    assert.equal(profile.period?.from, "rhythm");
    near(profile.period?.ms, 40, 0.2);
    near(profile.demand?.meanMs, 5.68, 0.02);
    near(profileOf(runs, { ...wish, periodMs: 80 }).demand?.meanMs, 11.35, 0.02);
  });

  it("leaves out how programs begin", () => {
    const begins = [
      { atMs: 0, cpuMs: 0 },
      { atMs: 300, cpuMs: 300 },
    ];
    const goesOn = working(40, 10, 10_000).map(({ atMs, cpuMs }) => ({
      atMs: atMs + 301,
      cpuMs: cpuMs + 300,
    }));
    const profile = profileOf([run([...begins, ...goesOn])], wish);
    near(profile.utilisation.mean, 0.25, 0.005);
    near(profile.cpuMs.mean, 2800, 1);
  });

  it("covers the periods it is asked to", () => {
    let cpuMs = 0;
    const samples = Array.from({ length: 1000 }, (_, index) => {
      const workMs = index % 50 === 0 ? 20 : 10;
      const before = { atMs: index * 40, cpuMs };
      cpuMs += workMs;
      return [before, { atMs: index * 40 + workMs, cpuMs }];
    }).flat();
    const demandAt = (coveredPart: number) => profileOf([run(samples)], { periodMs: 40, coveredPart }).demand;
    assert.equal(demandAt(0.95)?.coveringMs, 10);
    assert.equal(demandAt(0.99)?.coveringMs, 20);
    assert.equal(demandAt(0.99)?.mostMs, 20);
  });

  it("loses no CPU time between periods", () => {
    fc.assert(
      fc.property(fc.double({ min: 5, max: 300, noNaN: true }), (periodMs) => {
        const samples = working(40, 10, 3000);
        const demands = demandPerPeriod(samples, periodMs);
        const total = demands.reduce((sum, one) => sum + one, 0);
        assert.ok(demands.every((demand) => demand >= -1e-9 && demand <= periodMs + 1e-9));
        near(total, 0.25 * demands.length * periodMs, 11);
      }),
    );
  });

  it("tells traffic only where it was counted", () => {
    const samples = working(40, 10, 10_000);
    const counted = profileOf([run(samples, { outBytes: 1_517_500, inBytes: 0 })], wish);
    near(counted.outBps?.mean, 1_214_000, 1000);
    assert.equal(counted.inBps?.mean, 0);
    assert.equal(profileOf([run(samples)], wish).outBps, undefined);
  });
});

describe("proposalOf()", () => {
  it("is a reservation to paste: whole steps, never less than was seen", () => {
    const samples = [1, 2, 3].map((seed) => working(40, 5.676, 10_000, seed));
    const runs = samples.map((one) =>
      run(one, { memoryPeakBytes: 20_000_000, outBytes: 1_517_500, inBytes: 10 }),
    );
    const { cpu, memoryBytes, outBps, inBps, remarks } = proposalOf(profileOf(runs, { coveredPart: 0.99 }));
    assert.equal(cpu?.periodUs, 40_000);
    near(cpu?.executionUs, 5_700, 60);
    assert.equal(memoryBytes, 21 * 1024 * 1024);
    near(outBps, 1_340_000, 10_000);
    assert.equal(inBps, undefined, "ten bytes are no bandwidth");
    assert.deepEqual(remarks, []);
  });

  it("takes a measured period for the whole milliseconds it is meant to be, and no other", () => {
    const periodUs = (periodMs: number) =>
      proposalOf(profileOf([run(working(40, 10, 4000))], { coveredPart: 0.99, periodMs })).cpu?.periodUs;
    assert.deepEqual([39.94, 33.3667, 16.683, 0.5].map(periodUs), [40_000, 33_400, 16_700, 1000]);
  });

  it("says what it cannot say", () => {
    const { cpu, outBps, remarks } = proposalOf(
      profileOf([run(working(40, 40, 4000))], { coveredPart: 0.99 }),
    );
    assert.deepEqual([cpu, outBps], [undefined, undefined]);
    assert.match(remarks.join("\n"), /without a pause.*no rhythm.*could not be counted/s);
  });

  it("proposes no period that no run was as long as", () => {
    const wish = { coveredPart: 0.99, periodMs: 500 };
    const { cpu, remarks } = proposalOf(profileOf([run(working(40, 10, 300))], wish));
    assert.equal(cpu, undefined);
    assert.match(remarks.join("\n"), /over within a period of 500 ms/);
  });

  it("takes for all it has what is near all of it, on either side, and for its need what is less or more", () => {
    const reservation = { executionUs: 10_000, periodUs: 40_000 };
    const cpuOf = (cpuMilli: number) => {
      const looks = [1, 2].map(() => ({ cpuMilli, memoryBytes: 0, intervalMs: 1000 }));
      return proposalOf(profileOfUse(looks, { coveredPart: 0.99, reservation })).cpu?.executionUs;
    };
    assert.deepEqual([200, 230, 240, 250, 260, 300].map(cpuOf), [
      8_000,
      9_200,
      undefined,
      undefined,
      undefined,
      12_000,
    ]);
  });
});
