import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { millis } from "#base/units.ts";
import { Creation } from "./creation.ts";

describe("Creation", () => {
  const clock = { now: 0, monotonic: () => millis(clock.now) };

  it("tells stages in order, each from where the one before it ended", () => {
    const creation = new Creation(clock, []);
    creation.begin();
    clock.now += 3;
    creation.end("slot made");
    creation.add("root: copied", millis(12));
    clock.now += 40.26;
    creation.end("QEMU started");
    assert.deepEqual(creation.stages, [
      { stage: "slot made", tookMs: 3 },
      { stage: "root: copied", tookMs: 12 },
      { stage: "QEMU started", tookMs: 40.3 },
    ]);
  });

  it("tells of a repeated stage as it went the last time", () => {
    const creation = new Creation(clock, []);
    for (const took of [70, 5]) {
      creation.begin();
      clock.now += took;
      creation.end("set up");
    }
    assert.deepEqual(creation.stages, [{ stage: "set up", tookMs: 5 }]);
  });

  it("keeps what was known, and guesses nothing of a stage whose beginning it has not seen", () => {
    const known = [{ stage: "slot made", tookMs: millis(3) }];
    const adopted = new Creation(clock, known);
    assert.equal(adopted.end("guest answers"), false);
    const finished = new Creation(clock, known);
    finished.begin();
    finished.over();
    assert.equal(finished.end("guest answers"), false);
    assert.deepEqual([adopted.stages, finished.stages], [known, known]);
  });
});
