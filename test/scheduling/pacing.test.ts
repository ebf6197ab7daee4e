import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { after, test } from "node:test";
import { median } from "#base/quantiles.ts";
import { micros, millis } from "#base/units.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { BandwidthEnforcer } from "#drivers/scheduling/bandwidth/enforcer.ts";
import { Pacer } from "#drivers/scheduling/bandwidth/pacer.ts";
import { DeadlineEnforcer } from "#drivers/scheduling/deadline/enforcer.ts";
import type { EnforcedMachine } from "#drivers/scheduling/port.ts";
import { GroupWeights, weightScale } from "#drivers/scheduling/weights.ts";
import { BusyMachines, anyProcessor, clock, layout, until } from "./rig.ts";

const never = new AbortController().signal;
const lookMs = millis(20);
const reservation = { periodUs: micros(20_000), executionUs: micros(10_000) };
const mayBeRealTime = spawnSync("chrt", ["-f", "1", "true"]).status === 0;

test(
  "quotas are looked at in time by a thread on each processor, while there are any",
  { skip: weightScale(layout) === undefined || !mayBeRealTime },
  async () => {
    const machines = new BusyMachines();
    after(() => machines[Symbol.asyncDispose]());
    const jobs = [machines.job("paced")];
    const cgroup = machines.cgroup("paced") ?? "";
    const pacer = new Pacer({ layout, processors: [anyProcessor] });
    const weights = new GroupWeights(layout, machines.mark);
    const enforcer = new BandwidthEnforcer({ layout, weights, processors: 1, pacer });
    enforcer.apply([]);
    assert.deepEqual(childrenOf(process.pid), [], "there is nothing to look at");
    const machine = { id: "paced", reservation, policy: "together", teams: [], suspended: false } as const;
    const paced: EnforcedMachine = { ...machine, jobs, cgroup };
    enforcer.apply([paced]);
    const [first = 0, ...others] = childrenOf(process.pid);
    assert.deepEqual(others, []);
    let thread: number | undefined;
    while (thread === undefined || priorityOf(thread) !== "2") {
      await clock.sleep(lookMs, never);
      [thread] = childrenOf(first);
    }
    const before = runsOf(thread);
    while (runsOf(thread) < before + 20) await clock.sleep(lookMs, never);
    await enforcer.close();
    assert.deepEqual([...childrenOf(process.pid), ...childrenOf(first)], []);
  },
);

/** A tick, at which the kernel would end it otherwise, is 1 to 10 ms, and what it is late by lies anywhere in one. */
const inTimeMs = 0.4;

test("a thread of a number that was another one's is given deadlines, and a stranger's class stays", async () => {
  const machines = new BusyMachines();
  after(() => machines[Symbol.asyncDispose]());
  const jobs = [machines.job("numbered")];
  const [thread = 0] = machines.pids("numbered");
  const machine = { id: "numbered", policy: "together", teams: [], suspended: false, jobs } as const;
  const enforcer = new DeadlineEnforcer({ layout });
  // Of so little the pacer looks at nothing.
  enforcer.apply([{ ...machine, reservation: { ...reservation, executionUs: micros(400) } }]);
  // As one is that has just begun.
  spawnSync("chrt", ["--other", "--pid", "0", String(thread)]);
  assert.equal(classOf(thread), "0");
  await until(() => classOf(thread) === deadlineClass);
  spawnSync("chrt", ["--batch", "--pid", "0", String(thread)]);
  enforcer.apply([]);
  assert.equal(classOf(thread), "3");
  await enforcer.close();
});

test(
  "deadline threads end their turns in time, and keep what they were given last",
  { skip: spawnSync("chrt", ["-d", "-T", "1000000", "-P", "4000000", "0", "true"]).status !== 0 },
  async () => {
    const machines = new BusyMachines();
    after(() => machines[Symbol.asyncDispose]());
    // One, as the pacer has so little of a processor that where the kernel is slow it has no time for a second one.
    const jobs = [machines.job("first")];
    const threads = machines.pids("first");
    const machine = { id: "first", policy: "together", teams: [], suspended: false, jobs } as const;
    const enforcer = new DeadlineEnforcer({ layout });
    enforcer.apply([]);
    assert.deepEqual(childrenOf(process.pid), [], "there is nothing to look at");
    enforcer.apply([{ ...machine, reservation: { periodUs: micros(20_000), executionUs: micros(8_000) } }]);
    await until(() => childrenOf(process.pid).some((pid) => classOf(pid) === deadlineClass));
    const late: number[] = [];
    for (const thread of threads) {
      for (let seen = 0; seen < 30;) {
        await clock.sleep(millis(7), never);
        const left = leftMs(thread);
        if (left === undefined || left > 0) continue;
        late.push(-left);
        seen += 1;
      }
    }
    assert.ok(median(late) < inTimeMs, `late by ${late.map((each) => each.toFixed(2)).join(", ")} ms`);
    for (let executionMs = 2; executionMs <= 6; executionMs += 0.25) {
      const executionUs = micros(1000 * executionMs);
      enforcer.adapt(new Map([["first", { periodUs: micros(20_000), executionUs }]]));
      await clock.sleep(millis(9), never);
    }
    await until(() => threads.every((thread) => Math.abs(runtimeMs(thread) - 6) < 0.3));
    enforcer.apply([]);
    await until(() => threads.every((thread) => classOf(thread) === "0"));
    await enforcer.close();
    assert.deepEqual(childrenOf(process.pid), []);
    assert.ok(
      threads.every((thread) => classOf(thread) === "0"),
      "it gave nothing back",
    );
  },
);

test(
  "who has ended and is still to be waited for is given no deadlines: the kernel would never take them back",
  { skip: spawnSync("chrt", ["-d", "-T", "1000000", "-P", "4000000", "0", "true"]).status !== 0 },
  async () => {
    // It waits for none of its two children, of which the second computes.
    const parent = spawn("perl", ["-e", "for (0, 1) { next if fork; if ($_) { 1 while 1 } exit } sleep"], {
      stdio: "ignore",
    });
    after(() => {
      for (const pid of childrenOf(parent.pid ?? 0, "")) process.kill(pid, "SIGKILL");
      parent.kill("SIGKILL");
    });
    await until(() => childrenOf(parent.pid ?? 0, "").length === 2);
    const [over = 0, busy = 0] = childrenOf(parent.pid ?? 0, "");
    await until(() => statOf(String(over))[0] === "Z");
    const enforcer = new DeadlineEnforcer({ layout });
    after(() => enforcer.close());
    const machine = (id: string, pid: number): EnforcedMachine => {
      const jobs = [{ kind: "process", pid, startTime: readStartTime(pid) ?? "" }] as const;
      return { id, policy: "together", teams: [], suspended: false, reservation, jobs };
    };
    enforcer.apply([machine("over", over), machine("busy", busy)]);
    await until(() => classOf(busy) === deadlineClass);
    assert.equal(classOf(over), "0");
    process.kill(busy, "SIGKILL");
    await until(() => statOf(String(busy))[0] === "Z");
    enforcer.adapt(new Map([["busy", { ...reservation, executionUs: micros(6000) }]]));
    assert.notEqual(runtimeMs(busy), 6);
  },
);

const deadlineClass = "6";
const classOf = (pid: number): string | undefined => statOf(String(pid))[38];

/** What the kernel counts as left of a deadline thread's turn, once it has counted; less than nothing is what it was late by. */
function leftMs(thread: number): number | undefined {
  const left = /^dl\.runtime\s*:\s*(-?\d+)/m.exec(textOf(`/proc/${thread}/sched`))?.[1];
  return left === undefined ? undefined : Number(left) / 1e6;
}

function runtimeMs(thread: number): number {
  const told = spawnSync("chrt", ["-p", String(thread)], { encoding: "utf8" }).stdout;
  return Number(/parameters: (\d+)\//.exec(told)?.[1]) / 1e6;
}

/** Those that pace, unless others are asked for. */
function childrenOf(parent: number, program = "pacer"): readonly number[] {
  const isOne = (pid: string): boolean =>
    statOf(pid)[1] === String(parent) && textOf(`/proc/${pid}/cmdline`).includes(program);
  return readdirSync("/proc").filter(isOne).map(Number);
}

const priorityOf = (pid: number): string | undefined => statOf(String(pid))[37];

/** How often it has had a processor. */
const runsOf = (pid: number): number => Number(textOf(`/proc/${pid}/schedstat`).split(" ")[2]);

/** From the state on. */
function statOf(pid: string): readonly string[] {
  const stat = textOf(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
