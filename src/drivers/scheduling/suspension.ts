import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConsortError, messageOf } from "#base/errors.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { EnforcedMachine, JobGroup } from "./port.ts";
import { groupsOf, jobKey, suspendedJobs } from "./job-groups.ts";
import type { OwnerWatchdog } from "./owner-watchdog.ts";

/**
 * Suspends and resumes machines that the kernel schedules: all jobs of one are stopped at once, each by one write or one
 * signal. (Those of a dispatch table just get no slots.)
 */
export class Suspension {
  readonly #layout: CgroupLayout;
  readonly #watchdog: OwnerWatchdog | undefined;
  readonly #stopped = new Map<string, JobGroup>();
  #known: ReadonlySet<string> = new Set();

  /** `watchdog`: resumes all when this process ends; absent: it stays suspended for the next owner. */
  constructor(layout: CgroupLayout, watchdog?: OwnerWatchdog) {
    this.#layout = layout;
    this.#watchdog = watchdog;
  }

  keep(machines: readonly EnforcedMachine[]): void {
    const stopped = new Map(machines.flatMap(suspendedJobs).map((job) => [jobKey(job), job]));
    for (const [key, job] of this.#stopped) if (!stopped.has(key)) this.#resume(key, job);
    for (const [key, job] of stopped) if (!this.#stopped.has(key)) this.#suspend(key, job);
    const all = machines.flatMap(groupsOf);
    for (const job of all) {
      const key = jobKey(job);
      // An earlier owner may have suspended it.
      if (job.kind === "cgroup" && !this.#known.has(key) && !stopped.has(key)) this.#tell(job, true);
    }
    this.#known = new Set(all.map(jobKey));
  }

  /** Said before it is done, here and to the watchdog: what fails half-way is taken back as a whole. */
  #suspend(key: string, job: JobGroup): void {
    if (job.kind === "thread")
      throw new ConsortError(
        "unsupported",
        `Cannot suspend thread ${job.tid}: a signal would stop all threads of its process`,
      );
    this.#stopped.set(key, job);
    if (job.kind === "process") this.#watchdog?.hold(key, { ...job, kind: "continue" });
    else this.#watchdog?.hold(key, { kind: "write", ...this.#freezer(job, true) });
    this.#tell(job, false);
  }

  #resume(key: string, job: JobGroup): void {
    this.#tell(job, true);
    this.#watchdog?.release(key);
    this.#stopped.delete(key);
  }

  #tell(job: JobGroup, go: boolean): void {
    if (job.kind === "thread") return;
    try {
      if (job.kind === "cgroup") {
        const { file, value } = this.#freezer(job, go);
        writeFileSync(file, value, { flag: "r+" });
      } else if (readStartTime(job.pid) === job.startTime) process.kill(job.pid, go ? "SIGCONT" : "SIGSTOP");
    } catch (cause) {
      const gone = cause instanceof Error && "code" in cause && isGone(cause.code);
      if (gone) return;
      if (cause instanceof ConsortError) throw cause;
      const what = job.kind === "cgroup" ? job.path : `process ${job.pid}`;
      throw new ConsortError(
        "driver_failed",
        `Cannot ${go ? "resume" : "suspend"} ${what}: ${messageOf(cause)}`,
        { cause },
      );
    }
  }

  /** What is written where, for it to go or to stand still. */
  #freezer(
    { path, threads }: Extract<JobGroup, { readonly kind: "cgroup" }>,
    go: boolean,
  ): { readonly file: string; readonly value: string } {
    const { v1, v2 } = this.#layout;
    if (v2 !== undefined && threads !== true)
      return { file: join(v2, path, "cgroup.freeze"), value: go ? "0" : "1" };
    if (v1.freezer !== undefined)
      return { file: join(v1.freezer, path, "freezer.state"), value: go ? "THAWED" : "FROZEN" };
    throw new ConsortError("unsupported", `Cannot suspend ${path}: no hierarchy here can freeze`);
  }
}

const isGone = (code: unknown): boolean => code === "ENOENT" || code === "ENODEV" || code === "ESRCH";
