import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { bytes, mebibytes, micros, millis, milliCpu } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import type { Cgroup } from "#drivers/system/cgroups/port.ts";

const clock = systemClock();
const { signal } = new AbortController();
const root = `consort-test-task-cgroups-${process.pid}`;
const layout = machineLayout();
/** This machine as it is, and what of it works with the v2 tree left out. */
const machines = { "as it is": layout, "v1 alone": { v1: layout.v1, v2Controllers: [] } };

after(async () => {
  for (const machine of Object.values(machines))
    await systemCgroups(clock, machine).open(root).remove(signal);
});

async function inGroup(group: Cgroup, script: string): Promise<ChildProcess> {
  const child = spawn("sh", ["-c", `read go; ${script}`], { stdio: ["pipe", "ignore", "ignore"] });
  await once(child, "spawn");
  assert.ok(child.pid !== undefined);
  group.attach(child.pid);
  child.stdin?.end("go\n");
  return child;
}

for (const [name, machine] of Object.entries(machines)) {
  if (Object.keys(machine.v1).length === 0 && machine.v2Controllers.length === 0) continue;
  const cgroups = systemCgroups(clock, machine);

  test(`${name}: a group is made twice, removed twice, and nothing is left`, async () => {
    const group = cgroups.open(`${root}/a/b`);
    group.create();
    group.create();
    assert.ok(group.exists());
    assert.deepEqual(cgroups.open(`${root}/a`).children(), ["b"]);
    await cgroups.open(`${root}/a`).remove(signal);
    await group.remove(signal);
    assert.equal(group.exists(), false);
  });

  test(`${name}: killAll() ends everything in a group and below it, frozen or not`, async () => {
    const group = cgroups.open(`${root}/kill`);
    const below = cgroups.open(`${root}/kill/below`);
    below.create();
    const children = [await inGroup(group, "sleep 1000"), await inGroup(below, "sleep 1000")];
    assert.deepEqual(group.pids().includes(children[0]?.pid ?? 0), true);
    const ends = children.map((child) => once(child, "exit"));
    group.freeze();
    group.killAll();
    for (const end of ends) assert.equal((await end)[1], "SIGKILL");
    await group.remove(signal);
    assert.equal(group.exists(), false);
  });

  test(`${name}: a frozen group uses no CPU until it is thawed`, async () => {
    const group = cgroups.open(`${root}/freeze`);
    group.create();
    const child = await inGroup(group, "while :; do :; done");
    while (group.usage().cpuUs < 20_000) await clock.sleep(millis(1), signal);
    group.freeze();
    while (!group.isFrozen()) await clock.sleep(millis(1), signal);
    const frozen = group.usage().cpuUs;
    const until = clock.monotonic() + 50;
    while (clock.monotonic() < until) await clock.sleep(millis(5), signal);
    assert.equal(group.usage().cpuUs, frozen);
    group.thaw();
    while (group.usage().cpuUs <= frozen) await clock.sleep(millis(1), signal);
    const end = once(child, "exit");
    group.killAll();
    await end;
    await group.remove(signal);
  });

  test(`${name}: a quota holds, is changed while running, and may exceed the parent's`, async () => {
    const parent = cgroups.open(`${root}/quota`);
    const group = cgroups.open(`${root}/quota/task`);
    group.create();
    parent.setCpu({ quotaUs: micros(50_000), periodUs: micros(100_000) });
    group.setCpu({ quotaUs: micros(200_000), periodUs: micros(100_000) });
    group.setCpu({ quotaUs: micros(10_000), periodUs: micros(40_000) });
    group.setCpu({ quotaUs: micros(4_000), periodUs: micros(40_000) });
    group.setWeight(milliCpu(500));
    group.setPids(10);
    const child = await inGroup(group, "while :; do :; done");
    const from = { at: clock.monotonic(), used: group.usage().cpuUs };
    while (clock.monotonic() < from.at + 600) await clock.sleep(millis(20), signal);
    const used = (group.usage().cpuUs - from.used) / ((clock.monotonic() - from.at) * 1000);
    // Upper bound only: on a busy machine it may well get less.
    assert.ok(used < 0.13, `used ${used} of a core, 0.1 allowed`);
    const end = once(child, "exit");
    group.killAll();
    await end;
    await parent.remove(signal);
  });

  test(`${name}: the memory limit kills what exceeds it, and the kill is counted`, async () => {
    const group = cgroups.open(`${root}/memory`);
    group.create();
    group.setMemory(mebibytes(16));
    const child = await inGroup(group, "exec perl -e '$x = q(x) x 100_000_000'");
    const [, killedBy] = await once(child, "exit");
    assert.equal(killedBy, "SIGKILL");
    assert.equal(group.oomKills(), 1);
    await group.remove(signal);
  });
}

test("a v2 machine is told in v2's words, down from the root of the tree", () => {
  const tree = mkdtempSync(join(tmpdir(), "consort-test-task-v2-"));
  try {
    for (const directory of ["", "lab", "lab/host"]) {
      mkdirSync(join(tree, directory), { recursive: true });
      writeFileSync(join(tree, directory, "cgroup.subtree_control"), directory === "" ? "cpu\n" : "\n");
    }
    mkdirSync(join(tree, "lab/host/task"));
    const group = systemCgroups(clock, { v1: {}, v2: tree, v2Controllers: ["cpu", "memory", "pids"] }).open(
      "lab/host/task",
    );
    const file = (name: string): string => join(tree, "lab/host/task", name);
    const files = {
      "cpu.max": "max 100000\n",
      "cpu.weight": "100\n",
      "memory.max": "max\n",
      "pids.max": "max\n",
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(file(name), text);
    writeFileSync(file("cpu.stat"), "usage_usec 1234\n");
    writeFileSync(file("memory.current"), "4096\n");
    writeFileSync(file("memory.events"), "oom 2\noom_kill 2\n");
    group.create();
    assert.equal(readFileSync(join(tree, "cgroup.subtree_control"), "utf8").trim(), "+memory +pids");
    assert.equal(readFileSync(join(tree, "lab/cgroup.subtree_control"), "utf8").trim(), "+cpu +memory +pids");
    group.setCpu({ quotaUs: micros(10_000), periodUs: micros(40_000) });
    group.setWeight(milliCpu(500));
    group.setMemory(bytes(1 << 20));
    group.setPids(32);
    const first = (name: string): string | undefined => readFileSync(file(name), "utf8").split("\n")[0];
    assert.equal(first("cpu.max"), "10000 40000");
    assert.equal(first("cpu.weight"), "50");
    assert.equal(first("memory.max"), String(1 << 20));
    assert.equal(first("pids.max"), "32");
    assert.equal(existsSync(file("memory.swap.max")), false);
    assert.deepEqual(group.usage(), { cpuUs: 1234, memoryBytes: 4096 });
    assert.equal(group.oomKills(), 2);
    group.close();
  } finally {
    rmSync(tree, { recursive: true });
  }
});
