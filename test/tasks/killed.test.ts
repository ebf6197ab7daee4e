import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { openTaskHost } from "consort/tasks";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { tableFile } from "#drivers/scheduling/table/file.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { busy, sharesOver, startOutside, until } from "./processes.ts";

/** Its own: another program that opens a task host meanwhile would clean up before this one looks. */
const cgroupParent = `consort-test-tasks-${process.pid}`;
const program = new URL("owner.child.ts", import.meta.url).pathname;

/** The next program takes away what is left. */
after(async () => (await openTaskHost({ cgroupParent })).close());

test("when the program is killed, what it had stopped goes on, and the next one takes its groups away", async (t) => {
  const worker = startOutside(busy);
  t.after(() => worker.kill("SIGKILL"));
  const owner = await ownerOf(t, worker.pid, ["dispatch-table"], "dispatched");
  const group = groupOf(worker.pid);
  const [mine = ""] = readdirSync(tmpdir()).filter((name) => name.startsWith(`consort-tasks-${owner.pid}-`));
  const table = tableFile(join(tmpdir(), mine, "table"));
  assert.ok(existsSync(table));
  await killed(owner);
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

for (const enforcement of ["dispatch-table", "bandwidth", "deadline"])
  test(`when the program is killed, what it had suspended by ${enforcement} goes on`, async (t) => {
    const worker = startOutside(busy);
    t.after(() => worker.kill("SIGKILL"));
    const owner = await ownerOf(t, worker.pid, [enforcement, "suspend"], "held");
    const cgroup = systemCgroups(systemClock()).open(`${groupOf(worker.pid)}/held/job-1`);
    await until("the process to stand still", () => cgroup.isFrozen());
    await killed(owner);
    await until("the process to run", () => !cgroup.isFrozen());
    await sharesOver(100, [worker.pid]);
  });

test("when the program is killed, its threads have no deadlines any more", async (t) => {
  const worker = startOutside(busy);
  t.after(() => worker.kill("SIGKILL"));
  const owner = await ownerOf(t, worker.pid, ["deadline"], "held");
  assert.equal(schedulingOf(worker.pid), deadline);
  await killed(owner);
  await until("the process to be an ordinary one", () => schedulingOf(worker.pid) === ordinary);
});

const [ordinary, deadline] = [0, 6];

/** The class of its first thread. */
function schedulingOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38]);
}

/** A program that holds this process, once it has said so. */
async function ownerOf(
  t: TestContext,
  pid: number,
  how: readonly string[],
  said: string,
): Promise<ChildProcess> {
  const owner = spawn(process.execPath, [program, String(pid), cgroupParent, ...how], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => owner.kill("SIGKILL"));
  for await (const line of createInterface({ input: owner.stdout })) if (line === said) break;
  return owner;
}

async function killed(owner: ChildProcess): Promise<void> {
  const ended = once(owner, "exit");
  owner.kill("SIGKILL");
  await ended;
}

function groupOf(pid: number): string {
  const [group = ""] =
    /consort-test-tasks-\d+\/\d+-\d+/.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8")) ?? [];
  assert.notEqual(group, "", "it was adopted");
  return group;
}

/** While it is dispatched it is frozen nine tenths of the time. */
async function staysFree(group: string): Promise<void> {
  const cgroup = systemCgroups(systemClock()).open(`${group}/held/job-1`);
  let inARow = 0;
  await until("the process to run freely", () => {
    inARow = cgroup.isFrozen() ? 0 : inARow + 1;
    return inARow >= 100;
  });
}
