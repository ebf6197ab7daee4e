import type { ApplianceId, HostId } from "#base/ids.ts";
import type { CpuGiven } from "#sim/scenario/cpu-given.ts";

/** Of this many lines at most is kept what each appliance was given; of a larger cloud what each host gave. */
const linesMost = 400;

/** What was given over time, one number per sample in thousandths of a core; 0 where it did not run. */
export type CpuSeries = {
  readonly atMs: readonly number[];
  readonly hosts: ReadonlyMap<HostId, readonly number[]>;
  /** By host; empty when there were more than can be shown. */
  readonly appliances: ReadonlyMap<HostId, ReadonlyMap<ApplianceId, readonly number[]>>;
  readonly running: readonly number[];
};

/** Collects samples of what is given. */
export class CpuRecorder implements CpuSeries {
  readonly atMs: number[] = [];
  readonly running: number[] = [];
  readonly hosts = new Map<HostId, number[]>();
  readonly #appliances = new Map<HostId, Map<ApplianceId, number[]>>();
  #lines = 0;

  get appliances(): ReadonlyMap<HostId, ReadonlyMap<ApplianceId, readonly number[]>> {
    return this.#lines > linesMost ? new Map() : this.#appliances;
  }

  take(atMs: number, given: CpuGiven): void {
    const index = this.atMs.push(atMs) - 1;
    let running = 0;
    for (const [host, here] of given) {
      running += here.size;
      const all = this.hosts.get(host) ?? [];
      this.hosts.set(host, all);
      all[index] = [...here.values()].reduce((sum, milli) => sum + milli, 0);
      if (this.#lines <= linesMost) this.#takeEach(host, here, index);
    }
    this.running.push(running);
  }

  #takeEach(host: HostId, here: ReadonlyMap<ApplianceId, number>, index: number): void {
    const lines = this.#appliances.get(host) ?? new Map<ApplianceId, number[]>();
    this.#appliances.set(host, lines);
    for (const id of here.keys()) {
      if (lines.has(id)) continue;
      lines.set(
        id,
        Array.from({ length: index }, () => 0),
      );
      this.#lines += 1;
    }
    for (const [id, line] of lines) line[index] = here.get(id) ?? 0;
  }
}
