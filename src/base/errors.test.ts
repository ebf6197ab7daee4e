import assert from "node:assert/strict";
import { test } from "node:test";
import { messageOf } from "./errors.ts";

test("of what failed first and then could not be cleaned up both are told, the cause first", () => {
  const fail = (): void => {
    using undo = new DisposableStack();
    undo.defer(() => {
      throw new Error("Cannot remove the group: it is busy");
    });
    throw new Error("Cannot start the machine: there is no memory");
  };
  let told = "";
  try {
    fail();
  } catch (error) {
    told = messageOf(error);
  }
  assert.equal(
    told,
    "Cannot start the machine: there is no memory; then Cannot remove the group: it is busy",
  );
});
