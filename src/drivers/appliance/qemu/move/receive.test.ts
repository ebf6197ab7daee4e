import assert from "node:assert/strict";
import { test } from "node:test";
import type { Qmp } from "../vm.ts";
import { memoryState } from "./receive.ts";

const never = new AbortController().signal;

function answering(status: string): Qmp {
  return {
    execute: () => Promise.resolve({ status }),
    onEvent: () => () => {},
    closed: never,
    close() {},
  };
}

test("memoryState() lets nobody think that memory is here which still follows, or was lost on its way", async () => {
  const expected = {
    "postcopy-active": "coming",
    "postcopy-recover": "coming",
    "postcopy-paused": "lost",
    completed: "here",
    // Of a checkpoint that was taken since.
    failed: "here",
    none: "here",
  };
  for (const [status, memory] of Object.entries(expected))
    assert.equal(await memoryState(answering(status), never), memory, status);
});
