/**
 * An owner of a dispatch table with more jobs than its dispatcher may have files open: `many-jobs.child.ts DIRECTORY JOBS`.
 * Says "stopped" when all but the one whose slot it is are, and "free" when none is any more.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { micros } from "#base/units.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { TableEnforcer } from "#drivers/scheduling/table/enforcer.ts";
import { GroupWeights } from "#drivers/scheduling/weights.ts";
import { layout, log, tableOf, until } from "./rig.ts";

const [, , directory = "", count = ""] = process.argv;
const jobs = Array.from({ length: Number(count) }, () => spawn("sleep", ["infinity"], { stdio: "ignore" }));
const pids = jobs.map(({ pid }) => pid ?? 0);
const stopped = (): number =>
  pids.filter((pid) => readFileSync(`/proc/${pid}/stat`, "latin1").includes(") T ")).length;
const enforcer = new TableEnforcer({
  directory,
  layout,
  weights: new GroupWeights(layout, undefined),
  endsWithOwner: true,
  log,
});
const machine = {
  id: "many",
  reservation: { periodUs: micros(10_000), executionUs: micros(10_000) },
  policy: "round-robin" as const,
  jobs: pids.map((pid) => ({ kind: "process" as const, pid, startTime: readStartTime(pid) ?? "" })),
  teams: [],
  suspended: false,
};
enforcer.apply([machine], tableOf([machine]));
await until(() => stopped() >= pids.length - 1);
console.log("stopped");
await enforcer.close();
await until(() => stopped() === 0);
console.log("free");
for (const job of jobs) job.kill("SIGKILL");
