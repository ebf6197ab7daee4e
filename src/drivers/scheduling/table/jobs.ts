import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { jobKey } from "../job-groups.ts";
import type { JobGroup } from "../port.ts";
import { continueJob, stopJob } from "./control.ts";
import { capacity, jobKind, jobState, word } from "./memory.ts";
import type { TableMemory } from "./memory.ts";

type JobRecord = {
  readonly kind: number;
  readonly name: string;
  readonly pid: number;
  readonly startTime: string;
};

/**
 * The owner's side of the job list in shared memory: a job keeps its number for as long as it is wanted, also across
 * owners, so that a dispatcher that runs on is not disturbed by a new owner who wants the same jobs.
 */
export class JobList {
  readonly #memory: TableMemory;
  readonly #layout: CgroupLayout;
  readonly #numbers = new Map<string, number>();

  constructor(memory: TableMemory, layout: CgroupLayout) {
    this.#memory = memory;
    this.#layout = layout;
    const used = memory.header[word.jobsUsed] ?? 0;
    for (let job = 0; job < used; job += 1) {
      if (memory.jobStates[job] === jobState.wanted) this.#numbers.set(keyOf(this.#recordAt(job)), job);
    }
  }

  /**
   * The numbers of these jobs, in their order; new ones are written down, and those of them that are suspended stopped
   * here and now. `letGo` afterwards, when the table without the others is in effect. @throws limit_exceeded, unsupported
   */
  want(groups: readonly JobGroup[], suspended: ReadonlySet<string>): readonly number[] {
    const records = groups.map((group) => this.#recordOf(group));
    const unknown = new Set(records.map(keyOf).filter((key) => !this.#numbers.has(key)));
    const free = this.#free(unknown.size);
    return records.map((record, at) => {
      const key = keyOf(record);
      const group = groups[at];
      const known = this.#numbers.get(key);
      if (known !== undefined) return known;
      const job = free.pop() ?? 0;
      this.#write(job, record, group !== undefined && suspended.has(jobKey(group)));
      this.#numbers.set(key, job);
      return job;
    });
  }

  /** Those not in `kept` are continued, here and now, and given up. */
  letGo(kept: ReadonlySet<number>): void {
    for (const [key, job] of this.#numbers) {
      if (kept.has(job)) continue;
      this.#numbers.delete(key);
      Atomics.store(this.#memory.jobStates, job, jobState.leaving);
      if (Atomics.load(this.#memory.stopped, job) !== 0) continueJob(this.#memory, job);
    }
  }

  /** What a dispatcher that is dead left stopped or had not let go of. */
  continueAll(): void {
    const { header, stopped, jobStates } = this.#memory;
    const used = Atomics.load(header, word.jobsUsed);
    for (let job = 0; job < used; job += 1) {
      if (Atomics.load(stopped, job) !== 0) {
        continueJob(this.#memory, job);
        Atomics.store(stopped, job, 0);
      }
      Atomics.compareExchange(jobStates, job, jobState.leaving, jobState.free);
    }
  }

  #recordOf(group: JobGroup): JobRecord {
    if (group.kind === "process") {
      return { kind: jobKind.process, name: "", pid: group.pid, startTime: group.startTime };
    }
    if (group.kind === "thread")
      throw new ConsortError(
        "unsupported",
        `Cannot dispatch thread ${group.tid}: no control group here holds it apart from its process`,
      );
    const { v1, v2 } = this.#layout;
    // v1 where there is one: a write to v2's file waits for whoever moves any process of the machine into a group.
    const place = v1.freezer ?? v2;
    if (place === undefined) {
      throw new ConsortError(
        "unsupported",
        `Cannot dispatch ${group.path}: no control group hierarchy here can freeze`,
      );
    }
    const name = join(place, group.path, place === v2 ? "cgroup.freeze" : "freezer.state");
    if (Buffer.byteLength(name) > capacity.nameBytes) {
      throw new ConsortError(
        "limit_exceeded",
        `Cannot dispatch ${group.path}: its name has more than ${capacity.nameBytes} bytes`,
      );
    }
    const kind = place === v2 ? jobKind.freezerV2 : jobKind.freezerV1;
    return { kind, name, pid: 0, startTime: "0" };
  }

  #recordAt(job: number): JobRecord {
    const memory = this.#memory;
    return {
      kind: memory.jobKinds[job] ?? 0,
      name: memory.jobName(job),
      pid: memory.jobPids[job] ?? 0,
      startTime: memory.jobStart(job),
    };
  }

  #free(count: number): number[] {
    const { jobStates, header } = this.#memory;
    const found: number[] = [];
    for (let job = 0; job < capacity.jobs && found.length < count; job += 1) {
      if (Atomics.load(jobStates, job) === jobState.free) found.push(job);
    }
    if (found.length < count) {
      throw new ConsortError(
        "limit_exceeded",
        `Cannot dispatch ${count} more jobs: only ${found.length} of ${capacity.jobs} places are free`,
      );
    }
    const used = Math.max(header[word.jobsUsed] ?? 0, (found.at(-1) ?? -1) + 1);
    Atomics.store(header, word.jobsUsed, used);
    return found.reverse();
  }

  #write(job: number, record: JobRecord, isSuspended: boolean): void {
    const memory = this.#memory;
    memory.jobKinds[job] = record.kind;
    memory.jobPids[job] = record.pid;
    memory.setJobStart(job, record.startTime);
    memory.setJobName(job, record.name);
    // Said before it is done, as whoever stops a job does, so that it is continued whoever dies meanwhile.
    Atomics.store(memory.stopped, job, isSuspended ? 1 : 0);
    if (isSuspended && !stopJob(memory, job)) Atomics.store(memory.stopped, job, 0);
    // Last: from now on the dispatcher looks at it.
    Atomics.store(memory.jobStates, job, jobState.wanted);
  }
}

function keyOf({ kind, name, pid, startTime }: JobRecord): string {
  return kind === jobKind.process ? `${pid} ${startTime}` : name;
}
