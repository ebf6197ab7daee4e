import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { lastLine } from "#cluster/last-words.ts";

describe("lastLine()", () => {
  it("is the last line that says anything, cut to a readable length", () => {
    assert.equal(lastLine("first\nsecond\n\n  \n"), "second");
    assert.equal(lastLine(""), "");
    assert.equal(lastLine("x".repeat(500)).length, 201);
  });
});
