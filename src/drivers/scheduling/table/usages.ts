import { closeSync, openSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { readBytes } from "../kernel/calls.ts";
import { capacity, jobKind } from "./memory.ts";
import type { TableMemory } from "./memory.ts";

export const untold = -1;
/** Files beyond this number are left to jobs. */
const filesBelow = 1024;
const perMicro = { nanoseconds: 1000, microseconds: 1 } as const;
/** As much as holds the first number of either file. */
const bytesRead = 64;
const [zero, nine] = [0x30, 0x39];

/**
 * What jobs that are control groups have used. The file is looked up when a job is first asked for; then each question is
 * one call to the kernel, and leaves no garbage.
 */
export class Usages {
  readonly #memory: TableMemory;
  readonly #layout: CgroupLayout;
  readonly #fds = new Int32Array(capacity.jobs);
  readonly #bytes = Buffer.alloc(bytesRead);

  constructor(memory: TableMemory, layout: CgroupLayout) {
    this.#memory = memory;
    this.#layout = layout;
  }

  usedUs(job: number): number {
    const known = this.#fds[job] ?? 0;
    const fd = known === 0 ? this.#open(job) : known;
    if (fd < 0) return untold;
    const isFirst = this.#memory.jobKinds[job] === jobKind.freezerV1;
    const unit = isFirst ? perMicro.nanoseconds : perMicro.microseconds;
    const used = this.#firstNumber(readBytes(fd, this.#bytes));
    return used < 0 ? untold : Math.floor(used / unit);
  }

  /** A number that another job may get. */
  forget(job: number): void {
    const fd = this.#fds[job] ?? 0;
    this.#fds[job] = 0;
    if (fd > 0) closeSync(fd);
  }

  #firstNumber(length: number): number {
    let found = untold;
    for (let at = 0; at < length; at += 1) {
      const byte = this.#bytes[at] ?? 0;
      const isDigit = byte >= zero && byte <= nine;
      if (isDigit) found = 10 * Math.max(0, found) + byte - zero;
      else if (found >= 0) return found;
    }
    return untold;
  }

  #open(job: number): number {
    const fd = this.#openFile(this.#fileOf(job));
    this.#fds[job] = fd;
    return fd;
  }

  #openFile(file: string | undefined): number {
    if (file === undefined) return untold;
    try {
      const fd = openSync(file, "r");
      if (fd < filesBelow) return fd;
      closeSync(fd);
    } catch {
      // Its group is gone.
    }
    return untold;
  }

  /** Beside the file it is stopped by, or at the same place of the hierarchy that counts. */
  #fileOf(job: number): string | undefined {
    const { freezer, cpuacct } = this.#layout.v1;
    const group = dirname(this.#memory.jobName(job));
    const kind = this.#memory.jobKinds[job];
    if (kind === jobKind.freezerV2) return join(group, "cpu.stat");
    if (kind !== jobKind.freezerV1 || freezer === undefined || cpuacct === undefined) return undefined;
    return join(cpuacct, relative(freezer, group), "cpuacct.usage");
  }
}
