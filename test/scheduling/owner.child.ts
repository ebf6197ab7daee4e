/**
 * An owner of a dispatch table for tests to kill: `owner.child.ts DIRECTORY MARK ENDS_WITH_OWNER GROUP…`. Each group is
 * a machine with one slot of two; says "ready" when they are dispatched.
 */
import { micros } from "#base/units.ts";
import { TableEnforcer } from "#drivers/scheduling/table/enforcer.ts";
import { GroupWeights } from "#drivers/scheduling/weights.ts";
import { layout, log, settled, tableOf } from "./rig.ts";

const [, , directory = "", mark = "", endsWithOwner = "", ...groups] = process.argv;
const enforcer = new TableEnforcer({
  directory,
  layout,
  weights: new GroupWeights(layout, mark),
  endsWithOwner: endsWithOwner === "yes",
  log,
});
const machines = groups.map((path) => ({
  id: path,
  reservation: { periodUs: micros(20_000), executionUs: micros(10_000) },
  policy: "together" as const,
  jobs: [{ kind: "cgroup" as const, path }],
  teams: [],
  suspended: false,
}));
enforcer.apply(machines, tableOf(machines));
await settled(enforcer);
console.log("ready");
setInterval(() => {}, 1000);
