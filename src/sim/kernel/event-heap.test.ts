import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EventHeap } from "#sim/kernel/event-heap.ts";
import type { Scheduled } from "#sim/kernel/event-heap.ts";

const event = (atMs: number, sequence: number): Scheduled => ({
  atMs,
  sequence,
  process: undefined,
  processMark: 0,
  label: "",
  run: () => {},
});

describe("EventHeap", () => {
  it("gives back what is left in the order of time, then of scheduling, whatever was called off", () => {
    const moments = fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean()), { maxLength: 200 });
    fc.assert(
      fc.property(moments, (all) => {
        const heap = new EventHeap();
        const events = all.map(([atMs], index) => event(atMs, index));
        for (const one of events) heap.push(one);
        for (const [index, [, isOff]] of all.entries()) if (isOff) events[index]!.run = undefined;
        const wanted = events
          .filter((one) => one.run !== undefined)
          .sort((a, b) => a.atMs - b.atMs || a.sequence - b.sequence);
        const got: Scheduled[] = [];
        for (let next = heap.pop(); next !== undefined; next = heap.pop()) got.push(next);
        assert.deepEqual(got, wanted);
      }),
    );
  });
});
