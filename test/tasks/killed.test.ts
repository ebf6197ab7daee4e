import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { openTaskHost } from "consort/tasks";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { tableFile } from "#drivers/scheduling/table/file.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { busy, sharesOver, startOutside, until } from "./processes.ts";

/** Its own: another program that opens a task host meanwhile would clean up before this one looks. */
const cgroupParent = `consort-test-tasks-${process.pid}`;
const program = new URL("owner.child.ts", import.meta.url).pathname;

test("when the program is killed, what it had stopped goes on, and the next one takes its groups away", async (t) => {
  const worker = startOutside(busy);
  t.after(() => worker.kill("SIGKILL"));
  const owner = spawn(process.execPath, [program, String(worker.pid), cgroupParent], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => owner.kill("SIGKILL"));
  for await (const line of createInterface({ input: owner.stdout })) if (line === "dispatched") break;
  const [group = ""] =
    /consort-test-tasks-\d+\/\d+-\d+/.exec(readFileSync(`/proc/${worker.pid}/cgroup`, "utf8")) ?? [];
  assert.notEqual(group, "", "it was adopted");
  const [mine = ""] = readdirSync(tmpdir()).filter((name) => name.startsWith(`consort-tasks-${owner.pid}-`));
  const table = tableFile(join(tmpdir(), mine, "table"));
  assert.ok(existsSync(table));
  const ended = once(owner, "exit");
  owner.kill("SIGKILL");
  await ended;
  await staysFree(group);
  await using host = await openTaskHost({ processors: [{ milli: 1000 }], cgroupParent });
  assert.deepEqual(host.vtmScheduler.getResources(), []);
  assert.ok(!readFileSync(`/proc/${worker.pid}/cgroup`, "utf8").includes(group));
  await sharesOver(100, [worker.pid]);
  const ofOwner = `consort-tasks-${owner.pid}-`;
  assert.deepEqual(
    readdirSync(tmpdir()).filter((name) => name.startsWith(ofOwner)),
    [],
  );
  assert.ok(!existsSync(table), "its table is left");
});

/** While it is dispatched it is frozen nine tenths of the time. */
async function staysFree(group: string): Promise<void> {
  const cgroup = systemCgroups(systemClock()).open(`${group}/held/job-1`);
  let inARow = 0;
  await until("the process to run freely", () => {
    inARow = cgroup.isFrozen() ? 0 : inARow + 1;
    return inARow >= 100;
  });
}
