import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsortError, codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { patient } from "./patient.ts";

const { signal } = new AbortController();
const short = { timeoutMs: millis(10) };

/** Does in time what is given more than `neededMs`. */
function slow(neededMs: number): { readonly subprocess: Subprocess; readonly most: () => number } {
  let running = 0;
  let most = 0;
  const run: Subprocess["run"] = async (_file, _args, _signal, { timeoutMs = millis(0) } = {}) => {
    if (timeoutMs > short.timeoutMs) running += 1;
    most = Math.max(most, running);
    await Promise.resolve();
    if (timeoutMs > short.timeoutMs) running -= 1;
    if (timeoutMs < neededMs) throw new ConsortError("timeout", "Cannot finish it: still running");
    return { code: 0, stdout: "done", stderr: "" };
  };
  const check: Subprocess["check"] = async (...args) => (await run(...args)).stdout;
  return { subprocess: { run, check }, most: () => most };
}

test("what was not done in time is tried again with more, one after the other", async () => {
  const { subprocess, most } = slow(1000);
  const one = patient(subprocess);
  const results = await Promise.all(["a", "b", "c"].map((file) => one.run(file, [], signal, short)));
  assert.deepEqual(
    results.map(({ stdout }) => stdout),
    ["done", "done", "done"],
  );
  assert.equal(most(), 1);
});

test("what never ends has timed out, and does not keep the next one from its turn", async () => {
  const one = patient(slow(Number.POSITIVE_INFINITY).subprocess);
  const tries = ["a", "b"].map((file) => one.run(file, [], signal, short));
  for (const result of await Promise.allSettled(tries))
    assert.equal(result.status === "rejected" && codeOf(result.reason), "timeout");
});
