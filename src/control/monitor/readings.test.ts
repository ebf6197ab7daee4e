import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { micros, milliCpu, millis } from "#base/units.ts";
import { parseReadings } from "#control/monitor/readings.ts";
import { reservationUse } from "#control/monitor/reservation-use.ts";

describe("parseReadings()", () => {
  it("takes one number, or named ones, and leaves comments out", () => {
    assert.deepEqual(parseReadings(" 12.5\n"), [{ metric: "", value: 12.5 }]);
    assert.deepEqual(parseReadings("# HELP queue\nqueue 7\n\nwait-ms\t1e3\n"), [
      { metric: "queue", value: 7 },
      { metric: "wait-ms", value: 1000 },
    ]);
    assert.deepEqual(parseReadings("queue -0.5"), [{ metric: "queue", value: -0.5 }]);
  });

  for (const [text, complaint] of [
    ["", /nothing, a number was wanted/],
    ["many", /line 1 is "many", a number was wanted/],
    ["NaN", /line 1/],
    ["Infinity", /line 1/],
    ["1e999", /line 1/],
    ["0x10", /line 1/],
    ["a 1\n2", /line 2 is "2", "metric number" was wanted/],
    ["a 1\na 2", /a metric twice/],
    ["a 1 2", /line 1/],
    ['jobs{pool="a"} 3', /line 1 is .* was wanted; name under "metrics" of the monitor which labels count/],
    ["\u001b[31mred 1", /line 1 is "\\u001b\[31mred 1"/],
    [
      Array.from({ length: 65 }, (_, index) => `m${index} 1`).join("\n"),
      /65 lines, 64 at most were wanted, unless the monitor names under "metrics"/,
    ],
    ["1".repeat(70_000), /70000 characters, 65536 at most/],
  ] as const)
    it(`refuses ${JSON.stringify(text.slice(0, 20))}, naming what is wrong`, () => {
      assert.throws(() => parseReadings(text), { code: "bad_input", message: complaint });
    });

  it("gives finite numbers under plain names or refuses, whatever it is told", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          for (const { metric, value } of parseReadings(text)) {
            assert.ok(Number.isFinite(value));
            assert.match(metric, /^[\w.:-]*$/);
          }
        } catch (error) {
          assert.equal((error as { code?: string }).code, "bad_input");
        }
      }),
    );
  });
});

describe("reservationUse()", () => {
  const cpu = { kind: "reservation", periodUs: micros(40_000), executionUs: micros(10_000) } as const;
  const count = (atMs: number, cpuUsedMs: number, misses?: number) => ({
    atMs: millis(atMs),
    cpuUsedMs: millis(cpuUsedMs),
    cpu,
    ...(misses === undefined ? {} : { misses }),
  });

  it("tells how much of what is reserved was used, and how often it was missed", () => {
    assert.deepEqual(reservationUse(count(0, 100, 5), count(2000, 350, 9)), [
      { metric: "usage", value: 0.5 },
      { metric: "misses", value: 2 },
    ]);
  });

  it("tells the usage of a share too, and none where nothing is reserved", () => {
    const share = { kind: "share", shareMilli: milliCpu(1500), limitMilli: milliCpu(2000) } as const;
    assert.deepEqual(reservationUse(count(0, 0), { ...count(1000, 750), cpu: share }), [
      { metric: "usage", value: 0.5 },
    ]);
    const { cpu: _, ...bare } = count(1000, 750);
    assert.deepEqual(reservationUse(count(0, 0), bare), []);
  });

  it("tells nothing of counters that began anew", () => {
    assert.deepEqual(reservationUse(count(0, 500, 9), count(1000, 20, 1)), []);
    assert.deepEqual(reservationUse(count(5, 1, 1), count(5, 2, 2)), []);
  });
});
