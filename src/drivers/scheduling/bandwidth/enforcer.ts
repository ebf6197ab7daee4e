import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Reservation } from "#control/scheduling/reservation.ts";
import { keyedNumber } from "#drivers/system/cgroups/dialect.ts";
import type { CgroupLayout } from "#drivers/system/cgroups/layout.ts";
import type { CpuEnforcer, EnforcedMachine, EnforcedTeam, EnforcementCounters } from "../port.ts";
import { Suspension } from "../suspension.ts";
import type { GroupWeights } from "../weights.ts";
import { undisturbed } from "../kernel/calls.ts";
import { QuotaFile } from "../quota-file.ts";
import type { OwnerWatchdog } from "../owner-watchdog.ts";
import type { Pacer } from "./pacer.ts";
import { bandwidthWeights } from "./weights.ts";

export type BandwidthEnforcerOptions = {
  readonly layout: CgroupLayout;
  readonly weights: GroupWeights;
  /** Processors this host may use, for what is not reserved of them. */
  readonly processors: number;
  /**
   * Makes the kernel look at quotas in time. Absent: it looks at its ticks alone, as where others share this machine's
   * processors and would each have a pacer.
   */
  readonly pacer?: Pacer;
  /** Resumes what is suspended when this process ends; absent: it waits for the next owner. */
  readonly watchdog?: OwnerWatchdog;
};

/** Done before anybody notices. */
const fewChanges = 4;

type Kept = {
  machine: EnforcedMachine;
  /** Of itself and of its teams with reservations, outermost first, by the path of the group. */
  readonly quotas: ReadonlyMap<string, { readonly file: QuotaFile; reservation: Reservation }>;
  /** Periods of its group when it was first kept. */
  readonly periodsBefore: number;
};

/**
 * Keeps reservations by the kernel's CPU quota: the execution time in every period is the most a machine gets, and the
 * weight of its group, far above ordinary load, makes it the least as well. A host manager that dies leaves it as it is,
 * only less exact in single periods, as its pacer ends with it.
 */
export class BandwidthEnforcer implements CpuEnforcer {
  readonly kind = "bandwidth";
  readonly #options: BandwidthEnforcerOptions;
  readonly #suspension: Suspension;
  readonly #kept = new Map<string, Kept>();
  #weighing: NodeJS.Immediate | undefined;

  constructor(options: BandwidthEnforcerOptions) {
    this.#options = options;
    this.#suspension = new Suspension(options.layout, options.watchdog);
  }

  apply(machines: readonly EnforcedMachine[]): void {
    const present = new Set(machines.map((machine) => machine.id));
    for (const id of this.#kept.keys()) if (!present.has(id)) this.#letGo(id);
    for (const machine of machines) this.#keep(machine);
    this.#weigh();
    this.#suspension.keep(machines);
  }

  adapt(changes: ReadonlyMap<string, Reservation>): void {
    if (changes.size > fewChanges) undisturbed(() => this.#change(changes));
    else this.#change(changes);
    // Weights only say who comes first; what each gets is said by now.
    this.#weighing ??= setImmediate(() => this.#weigh());
  }

  /** First who gets less, so that no more than there is is promised meanwhile. */
  #change(changes: ReadonlyMap<string, Reservation>): void {
    const shrinking: [Kept, Reservation][] = [];
    const growing: [Kept, Reservation][] = [];
    for (const [id, reservation] of changes) {
      const kept = this.#kept.get(id);
      if (kept === undefined) continue;
      (isSmaller(reservation, kept.machine.reservation) ? shrinking : growing).push([kept, reservation]);
    }
    const done: [Kept, Reservation][] = [];
    try {
      for (const list of [shrinking, growing]) {
        for (const [kept, reservation] of list) {
          done.push([kept, kept.machine.reservation]);
          this.#set(kept, reservation);
        }
      }
    } catch (error) {
      for (const [kept, before] of done.reverse()) this.#set(kept, before);
      throw error;
    }
  }

  /** Periods alone: the kernel tells who was held at its quota, and that has had what is reserved; not who waited. */
  counters(): readonly EnforcementCounters[] {
    return [...this.#kept.values()].map(({ machine, periodsBefore }) => ({
      id: machine.id,
      dispatches: this.#periods(machine.cgroup) - periodsBefore,
    }));
  }

  async close(): Promise<void> {
    this.apply([]);
    await this.#options.pacer?.close();
    await this.#options.watchdog?.close();
  }

  #keep(machine: EnforcedMachine): void {
    const known = this.#kept.get(machine.id);
    const wanted = quotasOf(machine);
    const changed: { file: QuotaFile; reservation: Reservation }[] = [];
    for (const [path, quota] of known?.quotas ?? []) {
      if (wanted.has(path)) continue;
      quota.file.lift();
      quota.file.close();
    }
    const quotas = new Map<string, { file: QuotaFile; reservation: Reservation }>();
    for (const [path, reservation] of wanted) {
      const before = known?.quotas.get(path);
      const file = before?.file ?? QuotaFile.open(this.#options.layout, path);
      if (file === undefined) continue;
      quotas.set(path, { file, reservation });
      if (before === undefined || !isSame(before.reservation, reservation))
        changed.push({ file, reservation });
    }
    // First, so that what is refused half-way is known, and lifted, when it is taken back.
    const periodsBefore = known?.periodsBefore ?? this.#periods(machine.cgroup);
    this.#kept.set(machine.id, { machine, quotas, periodsBefore });
    // Lifted first: no group may have more than the one above it, not even on the way (v1).
    for (const { file } of changed.slice(1)) file.lift();
    for (const { file, reservation } of changed) file.set(reservation);
  }

  #letGo(id: string): void {
    for (const { file } of this.#kept.get(id)?.quotas.values() ?? []) {
      file.lift();
      file.close();
    }
    this.#kept.delete(id);
  }

  #set(kept: Kept, reservation: Reservation): void {
    const { cgroup } = kept.machine;
    const quota = cgroup === undefined ? undefined : kept.quotas.get(cgroup);
    if (quota !== undefined) {
      quota.file.set(reservation);
      quota.reservation = reservation;
    }
    kept.machine = { ...kept.machine, reservation };
  }

  #weigh(): void {
    clearImmediate(this.#weighing);
    this.#weighing = undefined;
    const { weights, processors, pacer } = this.#options;
    const machines = [...this.#kept.values()].map((kept) => kept.machine);
    weights.claim(this.kind, bandwidthWeights(machines, processors));
    pacer?.keep(new Map(machines.flatMap((machine) => [...quotasOf(machine)])));
  }

  #periods(path: string | undefined): number {
    const { v1, v2 } = this.#options.layout;
    const tree = v1.cpu ?? v2;
    if (tree === undefined || path === undefined) return 0;
    try {
      return keyedNumber(readFileSync(join(tree, path, "cpu.stat"), "utf8"), "nr_periods");
    } catch {
      return 0;
    }
  }
}

/** Groups with a quota of their own, those above before those below. */
function quotasOf(machine: EnforcedMachine): ReadonlyMap<string, Reservation> {
  const found = new Map<string, Reservation>();
  if (machine.cgroup !== undefined) found.set(machine.cgroup, machine.reservation);
  const add = (teams: readonly EnforcedTeam[]): void => {
    for (const { cgroup, reservation, teams: inner } of teams) {
      if (cgroup !== undefined && reservation !== undefined) found.set(cgroup, reservation);
      add(inner);
    }
  };
  add(machine.teams);
  return found;
}

const isSmaller = (a: Reservation, b: Reservation): boolean =>
  a.executionUs / a.periodUs < b.executionUs / b.periodUs;
const isSame = (a: Reservation, b: Reservation): boolean =>
  a.executionUs === b.executionUs && a.periodUs === b.periodUs;
