import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { cgroupLayout, wantedControllers } from "#drivers/system/cgroups/layout.ts";
import type { CgroupLayout, Controller } from "#drivers/system/cgroups/layout.ts";
import type { Capability, Finding } from "./report.ts";

const purposes: Readonly<Record<Controller, string>> = {
  cpu: "CPU reservations and limits",
  cpuacct: "CPU usage",
  memory: "memory limits",
  pids: "limits on processes",
  freezer: "suspending and fencing",
};

export function controllerCapability(controller: Controller): Capability {
  return {
    id: `cgroup-${controller}`,
    title: `control group: ${controller}`,
    neededFor: purposes[controller],
    required: controller !== "pids",
    remedy:
      "Boot with cgroup_enable=memory swapaccount=1 if it is memory; in a container, run it privileged with /sys/fs/cgroup writable",
  };
}

export function readLayout(): CgroupLayout {
  return cgroupLayout(readFileSync("/proc/self/mountinfo", "utf8"), (v2) =>
    readFileSync(join(v2, "cgroup.controllers"), "utf8"),
  );
}

export function versionFinding(layout: CgroupLayout): Finding {
  const carriers = Object.keys(layout.v1);
  if (carriers.length === 0 && layout.v2 === undefined) return { status: "missing", found: "none mounted" };
  if (carriers.length === 0) return { status: "ok", found: "version 2" };
  const beside = layout.v2 === undefined ? "" : " and 2";
  return { status: "ok", found: `version 1${beside} (${carriers.join(", ")} in 1)` };
}

/** cgroup v2 accounts CPU time and freezes in every group, without a controller. */
const innate: readonly Controller[] = ["cpuacct", "freezer"];

/** Where a controller is: [version, mount point]. */
export function placeOf(layout: CgroupLayout, controller: Controller): readonly [1 | 2, string] | undefined {
  const v1 = layout.v1[controller];
  if (v1 !== undefined) return [1, v1];
  if (layout.v2 === undefined) return undefined;
  const carried = innate.includes(controller) || layout.v2Controllers.includes(controller);
  return carried ? [2, layout.v2] : undefined;
}

/** Makes a group and removes it. */
export function probeController(layout: CgroupLayout, controller: Controller, name: string): Finding {
  const place = placeOf(layout, controller);
  if (place === undefined) return { status: "missing", found: "in no hierarchy" };
  const [version, point] = place;
  const group = join(point, `${name}-${controller}`);
  try {
    mkdirSync(group);
    rmdirSync(group);
    return { status: "ok", found: `version ${version}, usable` };
  } catch (cause) {
    return { status: "missing", found: `version ${version}: ${messageOf(cause)}` };
  }
}

export const controllers = wantedControllers;
