import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { codeOf, milliseconds, openTaskHost } from "consort/tasks";

const cgroupParent = `consort-test-promises-${process.pid}`;
const program = new URL("promiser.child.ts", import.meta.url).pathname;
const little = { periodUs: milliseconds(40), executionUs: milliseconds(4) };

test("what another program has reserved is refused, until it is killed", async (t) => {
  const other = spawn(process.execPath, [program, cgroupParent], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => other.kill("SIGKILL"));
  for await (const line of createInterface({ input: other.stdout })) if (line === "reserved") break;
  const host = await openTaskHost({ cgroupParent });
  const machine = host.createMachine({ name: "m" });
  assert.throws(
    () => machine.setSchedParam(little),
    (error: Error) => codeOf(error) === "unsatisfiable" && error.message.includes(`process ${other.pid} has`),
  );
  const ended = once(other, "exit");
  other.kill("SIGKILL");
  await ended;
  machine.setSchedParam(little);
  await host.close();
  // Whoever opens next takes away the groups of those that were killed.
  await (await openTaskHost({ cgroupParent })).close();
  assert.ok(!existsSync(`/run/consort-promises-${cgroupParent}`));
});
