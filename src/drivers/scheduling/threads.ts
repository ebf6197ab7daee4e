import { readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
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
  if (job.kind === "thread") return readStartTime(job.tid) === job.startTime ? [job.tid] : [];
  const list = threadList(job, layout);
  return list === undefined ? [] : threadsBelow(dirname(list), basename(list));
}

/** The file in which a group lists its threads; undefined where there are no hierarchies. */
export function threadList(
  { path, threads }: Extract<JobGroup, { readonly kind: "cgroup" }>,
  { v1, v2 }: CgroupLayout,
): string | undefined {
  const tree = (threads === true ? undefined : v2) ?? v1.freezer ?? v1.cpu;
  return tree === undefined ? undefined : join(tree, path, tree === v2 ? "cgroup.threads" : "tasks");
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
