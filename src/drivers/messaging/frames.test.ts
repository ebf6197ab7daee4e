import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeFrame, encodeFrame, isAddress } from "#drivers/messaging/frames.ts";

describe("decodeFrame()", () => {
  it("reads what encodeFrame() wrote, on one line", () => {
    const frame = { kind: "request", from: "a", to: "b", id: 1, topic: "t", body: { text: "x\ny" } } as const;
    const line = encodeFrame(frame);
    assert.ok(!line.includes("\n"));
    assert.deepEqual(decodeFrame(line), frame);
  });

  it("takes nothing else for a frame", () => {
    const lines = [
      "",
      "null",
      "[]",
      '{"kind":"unheard"}',
      '{"kind":"hello"}',
      '{"kind":"hello","address":"a","hears":"b"}',
      '{"kind":"reply","from":"a","to":"b","id":"1"}',
      '{"kind":"failure","from":"a","to":"b","id":1,"code":"unheard","message":""}',
      '{"kind":"welcome","present":[1]}',
    ];
    for (const line of lines) assert.equal(decodeFrame(line), undefined, line);
    fc.assert(fc.property(fc.json(), (line) => decodeFrame(line) === undefined));
  });
});

describe("isAddress()", () => {
  it("takes plain paths only", () => {
    assert.ok(isAddress("host/a1"));
    for (const text of ["", "/a", "a b", "a\n", "x".repeat(129)]) assert.ok(!isAddress(text), text);
  });
});
