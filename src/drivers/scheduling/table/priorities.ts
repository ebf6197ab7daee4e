import { readdirSync } from "node:fs";
import { constants, getPriority, setPriority } from "node:os";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { JobGroup } from "../port.ts";
import type { PutBack } from "./raised.ts";

type Raised = { readonly pid: number; readonly startTime: string; readonly before: number };

/**
 * Processes that are jobs by themselves, in no control group of ours: their threads come before ordinary load by the
 * highest priority of the ordinary scheduler. They run in their slots only.
 */
export class ProcessPriorities {
  readonly #raised = new Map<string, Raised>();

  /** How to put back what is raised, and what `keep` of these would raise. */
  putBacks(groups: readonly JobGroup[]): readonly PutBack[] {
    return groups.flatMap((group) => {
      if (group.kind !== "process") return [];
      const before = this.#raised.get(`${group.pid} ${group.startTime}`)?.before ?? priorityOf(group.pid);
      return before === undefined ? [] : [{ ...group, kind: "nice", value: before } as const];
    });
  }

  /** These are raised, and whatever is not among them any more is as it was. */
  keep(groups: readonly JobGroup[]): void {
    const wanted = new Set<string>();
    for (const group of groups) {
      if (group.kind !== "process") continue;
      const key = `${group.pid} ${group.startTime}`;
      wanted.add(key);
      if (!this.#raised.has(key)) this.#raise(key, group.pid, group.startTime);
    }
    for (const [key, { pid, startTime, before }] of this.#raised) {
      if (wanted.has(key)) continue;
      this.#raised.delete(key);
      if (readStartTime(pid) === startTime) setPriorityOfAll(pid, before);
    }
  }

  #raise(key: string, pid: number, startTime: string): void {
    if (readStartTime(pid) !== startTime) return;
    const before = priorityOf(pid);
    if (before === undefined) return;
    this.#raised.set(key, { pid, startTime, before });
    setPriorityOfAll(pid, constants.priority.PRIORITY_HIGHEST);
  }
}

function priorityOf(pid: number): number | undefined {
  try {
    return getPriority(pid);
  } catch {
    return undefined;
  }
}

/** Linux has a priority per thread; those a thread starts later have its own. */
export function setPriorityOfAll(pid: number, priority: number): void {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), priority);
  } catch {
    // It ends, or we may not: it then competes like any other.
  }
}
