import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { classOf, handleOf, setClass } from "./queueing.ts";

const someClass = {
  burstBytes: 8000,
  ceilBurstBytes: 8000,
  quantumBytes: 1600,
};

test("a class is shown with the rates it was set to, slow or beyond 32 bits", () => {
  const rates = fc.integer({ min: 1, max: 100_000_000_000 });
  fc.assert(
    fc.property(rates, rates, fc.integer({ min: 0, max: 7 }), (rateBytes, ceilBytes, priority) => {
      const wanted = { ...someClass, rateBytes, ceilBytes, priority };
      const handle = handleOf(0xc057, 0x10);
      const request = setClass({ index: 2, handle, parent: handleOf(0xc057, 1), class: wanted });
      const shown = classOf({ type: request.type, flags: 0, sequence: 1, body: request.body });
      assert.deepEqual(shown, {
        index: 2,
        handle,
        parent: handleOf(0xc057, 1),
        class: { rateBytes, ceilBytes, priority },
      });
    }),
  );
});
