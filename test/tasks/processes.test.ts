import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { processesConformance } from "#drivers/process/conformance.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";

const processes = systemProcesses(machineLayout());

processesConformance("system", () => processes);

test("a program that is not there is told", async () => {
  await assert.rejects(
    processes.start(["/no/such/program"], { output: "ignore", groupFiles: [] }),
    (error) => codeOf(error) === "driver_failed",
  );
});

test("a thread is not taken for a process", () => {
  const self = processes.self();
  const other = processes.threads(self).find((thread) => thread !== self.pid);
  assert.ok(other !== undefined, "this program has threads");
  assert.equal(processes.identify(other), undefined);
  assert.deepEqual(processes.identify(self.pid), self);
});

test("directory and environment are the process's own", async () => {
  const { ended } = await processes.start(["sh", "-c", 'test "$PWD:$COLOUR" = /:blue'], {
    output: "inherit",
    groupFiles: [],
    directory: "/",
    env: { COLOUR: "blue" },
  });
  assert.equal((await ended).code, 0);
});
