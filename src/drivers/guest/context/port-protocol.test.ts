import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { contextLimits } from "./limits.ts";
import { GuestLines, parseGuestMessage } from "./port-protocol.ts";

test("each message is read, with or without the carriage return of a terminal", () => {
  assert.deepEqual(parseGuestMessage("hello 1"), { kind: "hello", version: 1 });
  assert.deepEqual(parseGuestMessage("applied i-0f\r"), { kind: "applied", instance: "i-0f" });
  assert.deepEqual(parseGuestMessage("failed -"), { kind: "failed", instance: "-" });
  assert.deepEqual(parseGuestMessage("exited 137"), { kind: "exited", code: 137 });
});

test("what is no message is passed over", () => {
  for (const line of ["", "exited", "exited -1", "exited 9999999", "applied a b", "reboot host", "hello x"])
    assert.equal(parseGuestMessage(line), undefined, line);
});

test("messages are found however their bytes are cut", () => {
  const text = "applied i-1\nnonsense\nexited 0\n";
  fc.assert(
    fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), text.length];
      const lines = new GuestLines();
      const found = places
        .slice(1)
        .flatMap((end, index) => [...lines.push(Buffer.from(text.slice(places[index], end)))]);
      assert.deepEqual(
        found.map(({ kind }) => kind),
        ["applied", "exited"],
      );
    }),
  );
});

test("a guest that never ends its line is cut off, and heard again after it", () => {
  const lines = new GuestLines();
  for (let count = 0; count < 100; count += 1)
    assert.deepEqual(lines.push(Buffer.alloc(contextLimits.lineLengthMax, "x")), []);
  assert.deepEqual(lines.push(Buffer.from("applied i-1\nexited 3\n")), [{ kind: "exited", code: 3 }]);
});
