import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConsortError } from "#base/errors.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import type { RestoreRefusal } from "#protocol/host-report.ts";
import { isFailure, oneMoreRefusal, Patience } from "./patience.ts";

const from = (checkpoint: string): Pick<AppliancePlan, "vm"> =>
  ({ vm: { restore: { checkpoints: [{ id: checkpoint }], copies: { hosts: [] } } } }) as never;

describe("Patience", () => {
  it("doubles the pause with every failure in a row, to a limit, and forgets them once it is up", () => {
    const clock = new ManualClock();
    const patience = new Patience(clock);
    assert.equal(patience.restMs(), 0);
    const pauses = Array.from({ length: 9 }, () => {
      patience.failed();
      const restMs = patience.restMs();
      clock.advance(restMs);
      assert.equal(patience.restMs(), 0);
      return restMs;
    });
    assert.deepEqual(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    patience.failed();
    clock.advance(millis(100));
    assert.equal(patience.restMs(), 29_900);
    patience.isUp();
    assert.equal(patience.restMs(), 0);
    patience.failed();
    assert.equal(patience.restMs(), 500);
  });
});

/** It went on from there once, and comes from another host now. */
const arriving = (checkpoint: string): Pick<AppliancePlan, "vm"> =>
  ({ vm: { ...from(checkpoint).vm, move: { side: "arriving" } } }) as never;

describe("isFailure()", () => {
  it("is not when it waits for another host or for a snapshot, but when what it goes on from cannot be had", () => {
    const notYet = new ConsortError("unavailable", "not yet");
    assert.ok(!isFailure({}, notYet));
    assert.ok(!isFailure(arriving("p-1"), notYet));
    assert.ok(isFailure(from("p-1"), notYet));
    assert.ok(isFailure(arriving("p-1"), new ConsortError("conflict", "its move has failed")));
  });
});

describe("oneMoreRefusal()", () => {
  it("counts until others may be tried: sooner what cannot be read than what cannot be fetched", () => {
    const finalAt = (by: "memory" | "content"): number => {
      let told: RestoreRefusal | undefined;
      do told = oneMoreRefusal(from("p-1"), told, by, "no");
      while (told?.final !== true);
      return told.times;
    };
    assert.deepEqual([finalAt("memory"), finalAt("content")], [3, 7]);
  });

  it("begins anew with another checkpoint, and counts nothing of what begins from none", () => {
    const before = { checkpoint: "p-2", why: "no", times: 3, final: true } as const;
    assert.deepEqual(oneMoreRefusal(from("p-1"), before, "memory", "other"), {
      checkpoint: "p-1",
      why: "other",
      times: 1,
    });
    assert.equal(oneMoreRefusal({}, undefined, "memory", "no"), undefined);
    assert.equal(oneMoreRefusal(arriving("p-1"), undefined, "memory", "no"), undefined);
  });
});
