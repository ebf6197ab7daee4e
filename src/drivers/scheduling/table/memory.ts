import { mapShared } from "../kernel/calls.ts";
import type { SharedMemory } from "../kernel/calls.ts";

/**
 * What the owner of a dispatch table and its dispatcher share: a file that both map, and that the watchdog reads.
 * Whole 32-bit words, written and read with Atomics; one writer for each word.
 *
 *   header | the owner's directory | jobs: state, stopped, kind, pid, start, name | machines: counters | cursors | table 0 | table 1
 *
 * The owner writes a table into the half that is not in use and then raises `generation`, whose lowest bit says
 * which half is: so a change is a few words and takes effect at the next slot. Should it write twice while the
 * dispatcher reads once, the dispatcher sees by the generation that it has read half of each, and reads again.
 *
 * `stopped` of a job is set before it is stopped and cleared after it was continued: whoever finds it set, with the
 * dispatcher dead, continues it.
 */
export const capacity = {
  processors: 256,
  jobs: 65_536,
  machines: 8_192,
  /** Machines and teams that slots are given to. */
  targets: 16_384,
  turns: 131_072,
  turnJobs: 262_144,
  slots: 1_048_576,
  nameBytes: 256,
  /** Of the owner's directory. */
  pathBytes: 1024,
  /** Slots whose beginnings are remembered. */
  beginnings: 8_192,
} as const;

/** Words of the header. Where the dispatcher and the owner's directory stand is the same in every layout. */
export const word = {
  layout: 0,
  generation: 1,
  /** Raised by the owner when jobs come or go, not when only slots change. */
  structure: 2,
  acknowledged: 3,
  /** With the two halves of the time it began behind it. */
  dispatcherPid: 4,
  watchdogPid: 7,
  heartbeat: 8,
  watchdogHeartbeat: 9,
  command: 10,
  realTime: 11,
  /** Jobs of a higher number have never been. */
  jobsUsed: 12,
  /** Slots begun; the newest are in `lateNs` and `tookNs`. */
  begun: 13,
  /** With whose end the dispatcher ends, too; 0: it outlives its owner. */
  ownerPid: 14,
  /** One more than the number of the processor to dispatch on; 0: any. Behind the two halves of the owner's time. */
  processor: 17,
  words: 64,
} as const;

export const layoutNumber = 0x63_74_00_02;
export const command = { run: 0, end: 1 } as const;
export const realTime = { unknown: 0, granted: 1, refused: 2 } as const;
/** free → wanted (owner) → leaving (owner) → free (dispatcher, once it is continued). */
export const jobState = { free: 0, wanted: 1, leaving: 2 } as const;
export const jobKind = { freezerV1: 1, freezerV2: 2, process: 3 } as const;

/** Of one table: how many columns and the length of a slot, then per column where its slots are and how many. */
const tableHeadWords = 4 + 2 * capacity.processors;
export const targetWords = 5;
export const tableWord = { processors: 0, quantumUs: 1, targets: 2, columns: 4 } as const;
/** Words of a target: its machine, its cursor, its turns, and whether it runs at all. */
export const targetWord = { machine: 0, cursor: 1, firstTurn: 2, turns: 3, suspended: 4 } as const;

const sizes = {
  header: word.words,
  directory: capacity.pathBytes / 4,
  jobStates: capacity.jobs,
  stopped: capacity.jobs,
  jobKinds: capacity.jobs,
  jobPids: capacity.jobs,
  jobStarts: 2 * capacity.jobs,
  dispatches: capacity.machines,
  misses: capacity.machines,
  latestUs: capacity.machines,
  cursors: capacity.targets,
  lateNs: capacity.beginnings,
  tookNs: capacity.beginnings,
  heads: 2 * tableHeadWords,
  targets: 2 * targetWords * capacity.targets,
  turns: 2 * 2 * capacity.turns,
  turnJobs: 2 * capacity.turnJobs,
  slots: 2 * capacity.slots,
  names: (capacity.jobs * capacity.nameBytes) / 4,
} as const;
type Part = keyof typeof sizes;

/** Where each part begins, in words. */
export const offsets: Readonly<Record<Part, number>> = (() => {
  let next = 0;
  const found: Partial<Record<Part, number>> = {};
  for (const part of Object.keys(sizes) as Part[]) {
    found[part] = next;
    next += sizes[part];
  }
  return found as Record<Part, number>;
})();
export const memoryBytes = 4 * (offsets.names + sizes.names);

export type ProcessName = { readonly pid: number; readonly startTime: string };

/** One half: a whole table with the jobs of its targets. */
export type TableHalf = {
  readonly head: Int32Array;
  readonly targets: Int32Array;
  /** Two words each: the first of its jobs in `turnJobs`, and how many. */
  readonly turns: Int32Array;
  readonly turnJobs: Int32Array;
  readonly slots: Int32Array;
};

export class TableMemory {
  readonly header: Int32Array;
  readonly jobStates: Int32Array;
  readonly stopped: Int32Array;
  readonly jobKinds: Int32Array;
  readonly jobPids: Int32Array;
  readonly jobStarts: Int32Array;
  readonly dispatches: Int32Array;
  readonly misses: Int32Array;
  readonly latestUs: Int32Array;
  /** Per target that has ever been: how often it was dispatched, so that its jobs take turns across changes. */
  readonly cursors: Int32Array;
  /** Of the newest slots, by number modulo their length: how late each began, and how long its dispatch took. */
  readonly lateNs: Int32Array;
  readonly tookNs: Int32Array;
  readonly halves: readonly [TableHalf, TableHalf];
  readonly #names: Uint8Array;
  readonly #directory: Uint8Array;
  readonly #memory: SharedMemory;

  private constructor(memory: SharedMemory) {
    this.#memory = memory;
    const part = (name: Part, at = 0, of = 1): Int32Array => {
      const length = sizes[name] / of;
      return new Int32Array(memory.buffer, 4 * (offsets[name] + at * length), length);
    };
    this.header = part("header");
    this.jobStates = part("jobStates");
    this.stopped = part("stopped");
    this.jobKinds = part("jobKinds");
    this.jobPids = part("jobPids");
    this.jobStarts = part("jobStarts");
    this.dispatches = part("dispatches");
    this.misses = part("misses");
    this.latestUs = part("latestUs");
    this.cursors = part("cursors");
    this.lateNs = part("lateNs");
    this.tookNs = part("tookNs");
    const half = (at: number): TableHalf => ({
      head: part("heads", at, 2),
      targets: part("targets", at, 2),
      turns: part("turns", at, 2),
      turnJobs: part("turnJobs", at, 2),
      slots: part("slots", at, 2),
    });
    this.halves = [half(0), half(1)];
    this.#names = new Uint8Array(memory.buffer, 4 * offsets.names, 4 * sizes.names);
    this.#directory = new Uint8Array(memory.buffer, 4 * offsets.directory, capacity.pathBytes);
  }

  static open(file: string): TableMemory {
    return new TableMemory(mapShared(file, memoryBytes));
  }

  /** Nobody else's. */
  static alone(): TableMemory {
    return new TableMemory({ buffer: new ArrayBuffer(memoryBytes), unmap: () => {} });
  }

  half(generation: number): TableHalf {
    return this.halves[generation & 1 ? 1 : 0];
  }

  /** The file a group is stopped by; empty for a process. */
  jobName(job: number): string {
    const start = job * capacity.nameBytes;
    const bytes = this.#names.subarray(start, start + capacity.nameBytes);
    const end = bytes.indexOf(0);
    return Buffer.from(bytes.subarray(0, end < 0 ? bytes.length : end)).toString();
  }

  setJobName(job: number, name: string): void {
    const start = job * capacity.nameBytes;
    const bytes = Buffer.from(name);
    this.#names.fill(0, start, start + capacity.nameBytes);
    this.#names.set(bytes, start);
  }

  jobStart(job: number): string {
    return wide(this.jobStarts[2 * job] ?? 0, this.jobStarts[2 * job + 1] ?? 0);
  }

  setJobStart(job: number, start: string): void {
    const [low, high] = narrow(start);
    this.jobStarts[2 * job] = low;
    this.jobStarts[2 * job + 1] = high;
  }

  dispatcher(): ProcessName {
    return this.#process(word.dispatcherPid);
  }

  setDispatcher(pid: number, startTime: string): void {
    this.#setProcess(word.dispatcherPid, pid, startTime);
  }

  /** By which it is told later whether anybody may still come for this table. */
  setDirectory(path: string): void {
    this.#directory.fill(0);
    this.#directory.set(Buffer.from(path).subarray(0, capacity.pathBytes));
  }

  owner(): ProcessName {
    return this.#process(word.ownerPid);
  }

  setOwner(pid: number, startTime: string): void {
    this.#setProcess(word.ownerPid, pid, startTime);
  }

  #process(at: number): ProcessName {
    const { header } = this;
    return { pid: Atomics.load(header, at), startTime: wide(header[at + 1] ?? 0, header[at + 2] ?? 0) };
  }

  /** The number last: whoever sees it sees the rest. The two halves of the time follow it. */
  #setProcess(at: number, pid: number, startTime: string): void {
    const [low, high] = narrow(startTime);
    this.header[at + 1] = low;
    this.header[at + 2] = high;
    Atomics.store(this.header, at, pid);
  }

  /** Nothing may use it afterwards. */
  close(): void {
    this.#memory.unmap();
  }
}

/** A number of clock ticks in two words. */
function narrow(text: string): readonly [number, number] {
  const value = BigInt.asIntN(64, BigInt(text));
  return [Number(BigInt.asIntN(32, value)), Number(value >> 32n)];
}

function wide(low: number, high: number): string {
  return String((BigInt(high) << 32n) | BigInt.asUintN(32, BigInt(low)));
}
