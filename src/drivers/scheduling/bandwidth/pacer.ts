import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Reservation } from "#control/scheduling/reservation.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import { PacerProcess } from "../pacer-process.ts";

const program = fileURLToPath(new URL("pacer.pl", import.meta.url));

export type PacerOptions = {
  readonly layout: CgroupLayout;
  /** On each of these it has a thread. */
  readonly processors: readonly number[];
};

/** What the program reads, and what it writes, of one group. */
type PacedFiles = { readonly stat: string; readonly usage: string; readonly renewal: string };

/** Tells the program that makes the kernel look at quotas in time (pacer.pl) which groups have one. */
export class Pacer {
  readonly #layout: CgroupLayout;
  readonly #process: PacerProcess;

  constructor({ layout, processors }: PacerOptions) {
    this.#layout = layout;
    // Real-time priority is not to be had in a group of its own, where the kernel rations it by group.
    const root = layout.v1.cpu === undefined ? "-" : join(layout.v1.cpu, "cgroup.procs");
    this.#process = new PacerProcess(program, [root, ...processors.map(String)]);
  }

  /** All groups with a quota, by their paths, in place of those named before. */
  keep(quotas: ReadonlyMap<string, Reservation>): void {
    this.#process.keep(quotas.size > 0, () => this.#described(quotas));
  }

  close(): Promise<void> {
    return this.#process.close();
  }

  #described(quotas: ReadonlyMap<string, Reservation>): ReadonlyMap<string, string> {
    const described = new Map<string, string>();
    for (const [path, { periodUs, executionUs }] of quotas) {
      const files = this.#filesOf(path);
      if (files !== undefined)
        described.set(files.stat, `${periodUs} ${executionUs} ${files.usage} ${files.renewal}`);
    }
    return described;
  }

  /** Undefined: nothing tells how much it has used. */
  #filesOf(path: string): PacedFiles | undefined {
    const { v1, v2 } = this.#layout;
    if (/\s/.test(path)) return undefined;
    if (v1.cpu !== undefined && v1.cpuacct !== undefined)
      return {
        stat: join(v1.cpu, path, "cpu.stat"),
        usage: join(v1.cpuacct, path, "cpuacct.usage"),
        renewal: join(v1.cpu, path, "cpu.cfs_burst_us"),
      };
    return v1.cpu === undefined && v2 !== undefined
      ? { stat: join(v2, path, "cpu.stat"), usage: "-", renewal: join(v2, path, "cpu.max.burst") }
      : undefined;
  }
}
