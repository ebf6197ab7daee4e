import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { stateOf } from "./processes.ts";

/** Only to end with a reason instead of waiting for ever. */
const timeout = 120_000;

test("a job that was let go runs on, and its program may end before it", { timeout }, async (t) => {
  const program = new URL("let-go.child.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [program, `consort-test-tasks-${process.pid}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  let pid = 0;
  for await (const line of createInterface({ input: child.stdout })) pid = Number(line);
  t.after(() => process.kill(pid, "SIGKILL"));
  assert.deepEqual(await ended, [0, null]);
  assert.ok(stateOf(pid) !== undefined, "it runs on");
});
