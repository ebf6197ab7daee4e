import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { after, test } from "node:test";
import { micros, millis } from "#base/units.ts";
import { BandwidthEnforcer } from "#drivers/scheduling/bandwidth/enforcer.ts";
import { Pacer } from "#drivers/scheduling/bandwidth/pacer.ts";
import type { EnforcedMachine } from "#drivers/scheduling/port.ts";
import { GroupWeights, weightScale } from "#drivers/scheduling/weights.ts";
import { BusyMachines, anyProcessor, clock, layout } from "./rig.ts";

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

/** Those that pace. */
function childrenOf(parent: number): readonly number[] {
  const isOne = (pid: string): boolean =>
    statOf(pid)[1] === String(parent) && textOf(`/proc/${pid}/cmdline`).includes("pacer");
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
