import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { DelayLine } from "#lab/latency/delay-line.ts";

test("a packet leaves when its delay has passed, not before", () => {
  const line = new DelayLine<string>(500, 1000);
  line.push("a", 10, 100);
  assert.equal(line.nextDueUs(), 600);
  assert.equal(line.shift(599), undefined);
  assert.equal(line.shift(600), "a");
  assert.equal(line.nextDueUs(), Infinity);
});

test("a full line loses what comes, and takes again when something has left", () => {
  const line = new DelayLine<string>(10, 100);
  assert.equal(line.push("a", 60, 0), true);
  assert.equal(line.push("b", 60, 0), false);
  line.shift(10);
  assert.equal(line.push("c", 60, 10), true);
});

test("all that went in comes out, once and in order", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 3000 }), (gaps) => {
      const line = new DelayLine<number>(70, Infinity);
      const out: number[] = [];
      let nowUs = 0;
      const drain = (): void => {
        for (let next = line.shift(nowUs); next !== undefined; next = line.shift(nowUs)) out.push(next);
      };
      gaps.forEach((gap, index) => {
        nowUs += gap;
        drain();
        line.push(index, 1, nowUs);
      });
      nowUs += 70;
      drain();
      assert.deepEqual(
        out,
        gaps.map((_, index) => index),
      );
      assert.equal(line.length, 0);
    }),
  );
});
