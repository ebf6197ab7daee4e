import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { spoolKey } from "#drivers/job/port.ts";
import type {
  JobCursor,
  JobDriver,
  JobEntry,
  JobLook,
  JobPlace,
  JobProgram,
  JobSpool,
} from "#drivers/job/port.ts";

/** Passes an effect on, now or later, or never: where a process may be killed. */
export type Gate = <Result>(label: string, effect: () => Result) => Promise<Result>;

const atOnce: Gate = async (_label, effect) => effect();

type Process = {
  readonly appliance: ApplianceId;
  /** The run of its appliance that it belongs to: it ends with that. */
  readonly run: string;
  readonly endsAtMs: number;
  readonly exitCode: number;
  readonly output: string;
  killedAtMs?: number;
};

/** What runs for jobs on one host, and outlives its manager. */
export type FakeJobMachine = {
  readonly processes: Map<string, Process>;
  /** How often each attempt was begun. */
  readonly begins: Map<string, number>;
  /** Files by path, as staged. */
  readonly staged: Map<string, string[]>;
  /** Names the present run of an appliance; undefined: nothing can be run in it now. */
  runOf: (appliance: ApplianceId) => string | undefined;
  nowMs: () => number;
};

export const fakeJobMachine = (
  runOf: FakeJobMachine["runOf"] = () => "run 1",
  nowMs: FakeJobMachine["nowMs"] = () => 0,
): FakeJobMachine => ({ processes: new Map(), begins: new Map(), staged: new Map(), runOf, nowMs });

/** Whether an attempt runs at this moment. */
export function fakeJobRuns({ processes, runOf, nowMs }: FakeJobMachine, key: string): boolean {
  const one = processes.get(key);
  if (one === undefined || one.killedAtMs !== undefined) return false;
  return runOf(one.appliance) === one.run && nowMs() < one.endsAtMs;
}

/** Commands the fake knows: it has no programs. */
export const fakeJobs = {
  ends: (afterMs: number, exitCode: number, output = ""): string[] => [
    "end",
    String(afterMs),
    String(exitCode),
    output,
  ],
  stays: (): string[] => ["stay"],
};

/** Jobs without processes. Files are staged as words. */
export class FakeJobDriver implements JobDriver {
  readonly #machine: FakeJobMachine;
  readonly #gate: Gate;

  constructor(machine: FakeJobMachine, gate: Gate = atOnce) {
    this.#machine = machine;
    this.#gate = gate;
  }

  stageIn(place: JobPlace, index: number, file: { readonly url: string }): Promise<void> {
    return this.#gate("jobs, stage in", () => this.#stage(place, `in ${index} ${file.url}`));
  }

  begin(place: JobPlace, { command }: JobProgram): Promise<void> {
    return this.#gate("jobs, begin", () => {
      const { processes, begins, nowMs } = this.#machine;
      const run = this.#run(place);
      if (processes.has(place.key)) return;
      const [word, afterMs, exitCode, output = ""] = command;
      const endsAtMs = word === "end" ? nowMs() + Number(afterMs) : Number.POSITIVE_INFINITY;
      begins.set(place.key, (begins.get(place.key) ?? 0) + 1);
      processes.set(place.key, {
        appliance: place.appliance,
        run,
        endsAtMs,
        exitCode: Number(exitCode ?? 0),
        output,
      });
    });
  }

  look(place: JobPlace, cursor: JobCursor): Promise<JobLook> {
    return this.#gate("jobs, look", () => {
      const run = this.#run(place);
      const one = this.#machine.processes.get(place.key);
      const nothing = { stdout: new Uint8Array(), stderr: new Uint8Array(), cursor };
      // A run that began anew has nothing of the one before.
      if (one === undefined || one.run !== run) return { ...nothing, standing: { state: "none" } };
      if (one.killedAtMs !== undefined) return { ...nothing, standing: { state: "gone" } };
      const stdout = Buffer.from(one.output).subarray(cursor.stdout.offset);
      const offset = cursor.stdout.offset + stdout.length;
      const read = { stdout, stderr: nothing.stderr, cursor: { ...cursor, stdout: { part: 0, offset } } };
      if (this.#machine.nowMs() < one.endsAtMs) return { ...read, standing: { state: "running" } };
      return { ...read, standing: { state: "ended", exitCode: one.exitCode } };
    });
  }

  end(place: JobPlace): Promise<void> {
    return this.#gate("jobs, end", () => {
      this.#run(place);
      const { processes, nowMs } = this.#machine;
      const one = processes.get(place.key);
      if (one !== undefined && nowMs() < one.endsAtMs) one.killedAtMs ??= nowMs();
    });
  }

  stageOut(place: JobPlace, index: number, file: { readonly url: string }): Promise<void> {
    return this.#gate("jobs, stage out", () => this.#stage(place, `out ${index} ${file.url}`));
  }

  clear(place: JobPlace, paths: readonly string[]): Promise<void> {
    return this.#gate("jobs, clear", () => this.#stage(place, `clear ${paths.join(" ")}`.trim()));
  }

  #stage(place: JobPlace, what: string): void {
    this.#run(place);
    const { staged } = this.#machine;
    staged.set(place.key, [...(staged.get(place.key) ?? []), what]);
  }

  #run({ appliance }: JobPlace): string {
    const run = this.#machine.runOf(appliance);
    if (run !== undefined) return run;
    throw new ConsortError("conflict", `Cannot run a program in ${appliance}: it does not run`);
  }
}

/** What a fake spool keeps. */
export type FakeSpoolDisk = {
  readonly entries: Map<string, JobEntry>;
  readonly output: Map<string, Buffer>;
};

export const fakeSpoolDisk = (): FakeSpoolDisk => ({ entries: new Map(), output: new Map() });

/** A spool in memory, which outlives who uses it. */
export function fakeSpool({ entries, output }: FakeSpoolDisk, gate: Gate = atOnce): JobSpool {
  return {
    load: () =>
      gate("spool, load", () => {
        for (const [key, { written }] of entries) {
          for (const stream of ["stdout", "stderr"] as const) {
            const kept = output.get(`${key} ${stream}`);
            if (kept !== undefined) output.set(`${key} ${stream}`, kept.subarray(0, written[stream]));
          }
        }
        return [...entries.values()];
      }),
    save: (entry) => gate("spool, save", () => void entries.set(spoolKey(entry), entry)),
    append: (key, stream, data) =>
      gate("spool, append", () => {
        const before = output.get(`${key} ${stream}`) ?? Buffer.alloc(0);
        output.set(`${key} ${stream}`, Buffer.concat([before, data]));
      }),
    read: (key, stream, fromByte, maxBytes) =>
      gate("spool, read", () => {
        const data = (output.get(`${key} ${stream}`) ?? Buffer.alloc(0)).subarray(
          fromByte,
          fromByte + maxBytes,
        );
        return { data, fromByte, nextByte: fromByte + data.length };
      }),
    remove: (key) =>
      gate("spool, remove", () => {
        entries.delete(key);
        for (const stream of ["stdout", "stderr"]) output.delete(`${key} ${stream}`);
      }),
  };
}
