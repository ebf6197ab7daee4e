import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConsortError } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import {
  acknowledgedLost,
  acknowledgedTooEarly,
  allowedDesires,
  absent,
} from "#sim/checks/acknowledged-kept.ts";
import type { Change } from "#sim/checks/acknowledged-kept.ts";
import type { Call } from "#sim/client.ts";

const up = (desire: string, state: Call["state"], code?: ErrorCode): Change => ({
  call: { state, error: code === undefined ? undefined : new ConsortError(code, "Cannot") },
  desires: [desire],
});
const allowed = (...changes: Change[]): string[] => [...allowedDesires(changes)].sort();

describe("allowedDesires()", () => {
  it("is what was acknowledged last, and nothing before it", () => {
    assert.deepEqual(allowed(up("one", "answered"), up("two", "answered")), ["two"]);
  });

  it("holds both ways open while a change is not answered, or its answer was lost", () => {
    assert.deepEqual(allowed(up("one", "answered"), up("two", "lost")), ["one", "two"]);
    assert.deepEqual(allowed(up("one", "asked")), [absent, "one"]);
    assert.deepEqual(allowed(up("one", "lost"), up("two", "answered")), ["two"]);
  });

  it("takes a refusal for certain only where nothing can have been made", () => {
    assert.deepEqual(allowed(up("one", "answered"), up("two", "refused", "unsatisfiable")), ["one"]);
    assert.deepEqual(allowed(up("one", "answered"), up("two", "refused", "unavailable")), ["one", "two"]);
  });

  it("goes back over a cancelled change to what there was before it", () => {
    const cancel: Change = { call: { state: "answered", error: undefined }, goesBackTo: 1 };
    assert.deepEqual(allowed(up("one", "answered"), up("two", "answered"), cancel), ["one"]);
    assert.deepEqual(allowed(up("one", "answered"), up("two", "lost"), { ...cancel, goesBackTo: 0 }), [
      absent,
    ]);
  });
});

describe("acknowledgedLost()", () => {
  it("finds a record that went back, and one that is gone", () => {
    const changes = [up("one", "answered"), up("two", "answered")];
    assert.equal(
      acknowledgedLost("shop", changes, "one")?.message,
      "of shop the store has one, and acknowledged was two",
    );
    assert.match(acknowledgedLost("shop", changes, absent)?.message ?? "", /the store has absent/);
    assert.equal(acknowledgedLost("shop", changes, "two"), undefined);
  });
});

describe("acknowledgedTooEarly()", () => {
  it("finds an operation that was told of and is not durable", () => {
    assert.match(acknowledgedTooEarly("shop", "7", false)?.message ?? "", /7 on shop was acknowledged/);
    assert.equal(acknowledgedTooEarly("shop", "7", true), undefined);
  });
});
