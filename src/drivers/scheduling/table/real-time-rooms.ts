import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { PutBack } from "./raised.ts";

const file = "cpu.rt_runtime_us";
/** The kernel counts what a group uses of real-time priority by the second. */
const windowUs = 1_000_000;
/** Of what is reserved; so that a slot that ends a little late is not one too many. */
const margin = 1.05;

/** Of a machine: any one of its jobs, in these groups, may use all that is reserved. */
export type RoomRequest = {
  readonly paths: readonly string[];
  readonly executionUs: number;
  readonly periodUs: number;
};

/**
 * Kernels that ration real-time priority by control group (version 1, RT_GROUP_SCHED) have no thread of a group take it
 * that has no room for it: these are the rooms of dispatched jobs, and of all groups above them, each as large as those
 * in it together. What a job uses beyond its room the kernel itself prevents. Other kernels need none.
 */
export class RealTimeRooms {
  readonly #tree: string | undefined;
  /** Per group of a job, what it has, in us of each second. */
  readonly #held = new Map<string, number>();

  constructor({ v1 }: CgroupLayout) {
    this.#tree = v1.cpu !== undefined && existsSync(join(v1.cpu, file)) ? v1.cpu : undefined;
  }

  /** How to put back what `raise` changes, once none of their threads is of real-time priority: inner groups first. */
  putBacks(requests: readonly RoomRequest[]): readonly PutBack[] {
    const tree = this.#tree;
    if (tree === undefined) return [];
    const paths = requests.flatMap((request) => request.paths);
    const above = new Set(paths.flatMap((path) => groupsAbove(path)));
    const inner = [...above].sort((a, b) => depth(b) - depth(a));
    return [
      ...paths.map((path) => ({ kind: "write", file: join(tree, path, file), value: "0" }) as const),
      ...inner.map((path) => ({ kind: "room", file: join(tree, path, file) }) as const),
    ];
  }

  get isRationed(): boolean {
    return this.#tree !== undefined;
  }

  /** Whose jobs all have as much room as they need now, by position; nothing is taken from anybody. */
  raise(requests: readonly RoomRequest[]): ReadonlySet<number> {
    const granted = new Set<number>();
    for (const [at, request] of requests.entries()) {
      if (this.#tree === undefined || this.#raiseAll(request)) granted.add(at);
    }
    return granted;
  }

  /** Nobody has more than this; after the threads that had more are ordinary again. */
  lower(requests: readonly RoomRequest[]): void {
    const wanted = new Map(requests.flatMap((each) => each.paths.map((path) => [path, roomOf(each)])));
    for (const [path, heldUs] of this.#held) {
      const wantedUs = wanted.get(path) ?? 0;
      if (wantedUs >= heldUs) continue;
      // Refused while a thread that nobody has seen yet is of real-time priority: it is tried again.
      if (!this.#take(path, heldUs - wantedUs)) continue;
      if (wantedUs === 0) this.#held.delete(path);
      else this.#held.set(path, wantedUs);
    }
  }

  /** All of them, as those that come first would leave nothing to those that do not; or none. */
  #raiseAll(request: RoomRequest): boolean {
    const wantedUs = roomOf(request);
    const done: { readonly path: string; readonly moreUs: number }[] = [];
    for (const path of request.paths) {
      const moreUs = wantedUs - (this.#held.get(path) ?? this.#read(path));
      if (moreUs > 0 && !this.#add(path, moreUs)) {
        for (const each of done.reverse()) this.#take(each.path, each.moreUs);
        return false;
      }
      if (moreUs > 0) done.push({ path, moreUs });
    }
    for (const path of request.paths) this.#held.set(path, Math.max(wantedUs, this.#held.get(path) ?? 0));
    return true;
  }

  /** The outer groups first; all of them or none. */
  #add(path: string, moreUs: number): boolean {
    const chain = [path, ...groupsAbove(path)].reverse();
    const done: string[] = [];
    for (const group of chain) {
      if (this.#change(group, moreUs)) {
        done.push(group);
        continue;
      }
      for (const each of done.reverse()) this.#change(each, -moreUs);
      return false;
    }
    return true;
  }

  /** The inner groups first. Of one that is gone only those above it are left. */
  #take(path: string, lessUs: number): boolean {
    const isThere = existsSync(join(this.#tree ?? "", path));
    if (isThere && !this.#change(path, -lessUs)) return false;
    for (const group of groupsAbove(path)) this.#change(group, -lessUs);
    return true;
  }

  #change(path: string, byUs: number): boolean {
    try {
      const value = Math.max(0, this.#read(path) + byUs);
      writeFileSync(join(this.#tree ?? "", path, file), String(value), { flag: "r+" });
      return true;
    } catch {
      return false;
    }
  }

  #read(path: string): number {
    try {
      return Number(readFileSync(join(this.#tree ?? "", path, file), "utf8"));
    } catch {
      return 0;
    }
  }
}

/** In any second: what is reserved of it, and a period of which more than its part may lie in that second. */
function roomOf({ executionUs, periodUs }: RoomRequest): number {
  return Math.ceil(((margin * executionUs) / periodUs) * windowUs + executionUs);
}

const depth = (path: string): number => path.split("/").length;

/** Inner ones first. */
function groupsAbove(path: string): readonly string[] {
  const above = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  return above === "" ? [] : [above, ...groupsAbove(above)];
}
