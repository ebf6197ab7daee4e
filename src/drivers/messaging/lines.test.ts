import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Lines } from "#drivers/messaging/lines.ts";

describe("Lines", () => {
  it("gives the same lines however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\n", "")),
          { maxLength: 8 },
        ),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 40 }),
        (texts, cuts) => {
          let rest = Buffer.from(texts.map((text) => `${text}\n`).join(""));
          const lines = new Lines(1000);
          const seen: string[] = [];
          for (let turn = 0; rest.length > 0; turn += 1) {
            const length = cuts[turn % cuts.length] ?? 1;
            const whole = lines.push(rest.subarray(0, length));
            assert.ok(whole !== "too long");
            seen.push(...whole);
            rest = rest.subarray(length);
          }
          assert.deepEqual(seen, texts);
        },
      ),
    );
  });

  it("refuses a line beyond the limit, ended or not, and takes one of just that length", () => {
    assert.deepEqual(new Lines(3).push(Buffer.from("abc\nab")), ["abc"]);
    assert.equal(new Lines(3).push(Buffer.from("abcd")), "too long");
    assert.equal(new Lines(3).push(Buffer.from("abcd\n")), "too long");
  });
});
