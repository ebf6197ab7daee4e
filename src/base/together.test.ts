import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { together } from "#base/together.ts";

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

describe("together()", () => {
  it("stops the others and throws what the first one threw", async () => {
    let stopped = false;
    const loop = (signal: AbortSignal): Promise<void> =>
      untilAborted(signal).finally(() => {
        stopped = true;
      });
    const broken = (): Promise<void> => Promise.reject(new Error("disk full"));
    await assert.rejects(together([loop, broken], new AbortController().signal), { message: "disk full" });
    assert.equal(stopped, true);
  });

  it("ends quietly when it is told to", async () => {
    const stop = new AbortController();
    const all = together([untilAborted, untilAborted], stop.signal);
    stop.abort(new Error("enough"));
    await all;
  });
});
