import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { JobGroup } from "./port.ts";

/** The threads of a job as they are now; none when it is gone. */
export function threadsOf(job: JobGroup, layout: CgroupLayout): readonly number[] {
  if (job.kind === "process") {
    return readStartTime(job.pid) === job.startTime
      ? numbersIn(() => readdirSync(`/proc/${job.pid}/task`))
      : [];
  }
  const { v1, v2 } = layout;
  const tree = v2 ?? v1.freezer ?? v1.cpu;
  return tree === undefined
    ? []
    : threadsBelow(join(tree, job.path), v2 === undefined ? "tasks" : "cgroup.threads");
}

function threadsBelow(directory: string, file: string): readonly number[] {
  const own = numbersIn(() => readFileSync(join(directory, file), "utf8").split("\n"));
  return [...own, ...subgroups(directory).flatMap((name) => threadsBelow(join(directory, name), file))];
}

function numbersIn(read: () => readonly string[]): readonly number[] {
  try {
    return read()
      .filter((text) => text !== "")
      .map(Number);
  } catch {
    return [];
  }
}

function subgroups(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}
