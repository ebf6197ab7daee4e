import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { EnforcedMachine, JobGroup } from "./port.ts";
import { groupsOf, jobKey, suspendedJobs } from "./job-groups.ts";

/**
 * Suspends and resumes machines that the kernel schedules: all jobs of one are stopped at once, each by one write or one
 * signal. (Those of a dispatch table just get no slots.)
 */
export class Suspension {
  readonly #layout: CgroupLayout;
  #stopped = new Map<string, JobGroup>();
  #known: ReadonlySet<string> = new Set();

  constructor(layout: CgroupLayout) {
    this.#layout = layout;
  }

  keep(machines: readonly EnforcedMachine[]): void {
    const stopped = new Map(machines.flatMap(suspendedJobs).map((job) => [jobKey(job), job]));
    for (const [key, job] of this.#stopped) if (!stopped.has(key)) this.#tell(job, true);
    for (const [key, job] of stopped) if (!this.#stopped.has(key)) this.#tell(job, false);
    const all = machines.flatMap(groupsOf);
    for (const job of all) {
      const key = jobKey(job);
      // An earlier owner may have suspended it.
      if (job.kind === "cgroup" && !this.#known.has(key) && !stopped.has(key)) this.#tell(job, true);
    }
    this.#stopped = stopped;
    this.#known = new Set(all.map(jobKey));
  }

  #tell(job: JobGroup, go: boolean): void {
    if (job.kind === "thread") {
      if (go) return;
      throw new ConsortError(
        "unsupported",
        `Cannot suspend thread ${job.tid}: a signal would stop all threads of its process`,
      );
    }
    try {
      if (job.kind === "cgroup") this.#freeze(job, go);
      else if (readStartTime(job.pid) === job.startTime) process.kill(job.pid, go ? "SIGCONT" : "SIGSTOP");
    } catch (cause) {
      const gone = cause instanceof Error && "code" in cause && isGone(cause.code);
      if (gone) return;
      const what = job.kind === "cgroup" ? job.path : `process ${job.pid}`;
      throw new ConsortError(
        "driver_failed",
        `Cannot ${go ? "resume" : "suspend"} ${what}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  #freeze({ path, threads }: Extract<JobGroup, { readonly kind: "cgroup" }>, go: boolean): void {
    const { v1, v2 } = this.#layout;
    if (v2 !== undefined && threads !== true)
      writeFileSync(join(v2, path, "cgroup.freeze"), go ? "0" : "1", { flag: "r+" });
    else if (v1.freezer !== undefined)
      writeFileSync(join(v1.freezer, path, "freezer.state"), go ? "THAWED" : "FROZEN", { flag: "r+" });
    else throw new ConsortError("unsupported", `Cannot suspend ${path}: no hierarchy here can freeze`);
  }
}

const isGone = (code: unknown): boolean => code === "ENOENT" || code === "ENODEV" || code === "ESRCH";
