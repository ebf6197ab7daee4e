/**
 * An owner of a dispatch table for tests to kill: `owner.child.ts DIRECTORY MARK ENDS_WITH_OWNER GROUP…`. Each group is
 * a machine with one slot of two; says "ready" when they are dispatched.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { micros } from "#base/units.ts";
import { TableEnforcer } from "#drivers/scheduling/table/enforcer.ts";
import { GroupWeights, weightScale } from "#drivers/scheduling/weights.ts";
import { anyProcessor, layout, log, settled, tableOf, until } from "./rig.ts";

const [, , directory = "", mark = "", endsWithOwner = "", ...groups] = process.argv;
const enforcer = new TableEnforcer({
  directory,
  layout,
  weights: new GroupWeights(layout, mark),
  endsWithOwner: endsWithOwner === "yes",
  processors: [anyProcessor],
  log,
});
const machines = groups.map((path) => ({
  id: path,
  // Less than the slots are: what the kernel has of real-time priority is to suffice, whoever else has some.
  reservation: { periodUs: micros(100_000), executionUs: micros(10_000) },
  policy: "together" as const,
  jobs: [{ kind: "cgroup" as const, path }],
  teams: [],
  suspended: false,
  cgroup: dirname(path),
}));
enforcer.apply(machines, tableOf(machines));
await settled(enforcer);
// By then it has noticed that its dispatcher is up.
const weightFile = weightScale(layout)?.file ?? "";
await until(() => readFileSync(join(directory, "raised"), "utf8").includes(weightFile));
// What is written down first is done next.
await new Promise((resolve) => setImmediate(resolve));
console.log("ready");
setInterval(() => {}, 1000);
