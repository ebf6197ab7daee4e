import assert from "node:assert/strict";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { BootWatch } from "./boot-watch.ts";

test("BootWatch has a guest reset that uses its processors and shows no sign of life, but not for ever", () => {
  const watch = new BootWatch();
  const seen = [1_000, 80_000, 92_000, 93_000, 183_000, 999_000].map((used) => watch.look(millis(used)));
  assert.deepEqual(seen, [false, false, true, false, true, false]);
  assert.equal(watch.resets, 2);
});

test("BootWatch leaves a guest alone that showed a sign of life, or that only waits", () => {
  const watch = new BootWatch();
  assert.equal(watch.look(millis(5)), false);
  assert.equal(watch.look(millis(1_000)), false);
  watch.lives();
  assert.equal(watch.look(millis(1_000_000)), false);
});
