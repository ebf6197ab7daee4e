import type { DispatchTable } from "#control/scheduling/dispatch-table.ts";
import type { Reservation, SchedulingPolicy } from "#control/scheduling/reservation.ts";
import type { PromiseLedger } from "#drivers/promises/port.ts";
import type {
  CpuScheduler,
  EnforcementCounters,
  EnforcementKind,
  MachineRequest,
} from "#drivers/scheduling/port.ts";

/**
 * The scheduler of one program, which promises no more than other programs on this machine leave. They are only asked
 * when it comes to promise more, so that moving CPU time between its own machines takes no longer.
 */
export class SharedCpuScheduler implements CpuScheduler {
  readonly #own: CpuScheduler;
  readonly #ledger: PromiseLedger;
  readonly #shares = new Map<string, number>();

  constructor(own: CpuScheduler, ledger: PromiseLedger) {
    this.#own = own;
    this.#ledger = ledger;
  }

  recover(machines: Parameters<CpuScheduler["recover"]>[0]): void {
    const changes = machines.map(({ id, reservation }) => [id, shareOf(reservation)] as const);
    this.#promising("take over what is reserved", new Map(changes), () => this.#own.recover(machines));
  }

  admit(machine: MachineRequest): void {
    const change = new Map([[machine.id, shareOf(machine.reservation)]]);
    this.#own.admit(machine);
    const cpuMilli = this.#milliWith(change);
    if (cpuMilli > this.#milliWith(new Map()))
      this.#ledger.admit(`reserve CPU time for ${machine.id}`, { cpuMilli });
  }

  reserve(machine: MachineRequest): void {
    const change = new Map([[machine.id, shareOf(machine.reservation)]]);
    this.#promising(`reserve CPU time for ${machine.id}`, change, () => this.#own.reserve(machine));
  }

  expel(id: string): void {
    this.#promising(`give back CPU time of ${id}`, new Map([[id, 0]]), () => this.#own.expel(id));
  }

  adapt(changes: ReadonlyMap<string, Reservation>): void {
    const shares = new Map<string, number>();
    for (const [id, reservation] of changes) shares.set(id, shareOf(reservation));
    this.#promising("adapt reservations of CPU time", shares, () => this.#own.adapt(changes));
  }

  suspend(id: string): void {
    this.#own.suspend(id);
  }

  resume(id: string): void {
    this.#own.resume(id);
  }

  enforcementOf(id: string): EnforcementKind | undefined {
    return this.#own.enforcementOf(id);
  }

  counters(): readonly EnforcementCounters[] {
    return this.#own.counters();
  }

  get table(): DispatchTable {
    return this.#own.table;
  }

  setPolicy(policy: SchedulingPolicy): void {
    this.#own.setPolicy(policy);
  }

  ready(): Promise<void> {
    return this.#own.ready();
  }

  async close(): Promise<void> {
    await this.#own.close();
    this.#ledger.close();
  }

  /** More is promised before it is reserved, less when it is given back: at no moment is it too little. */
  #promising(action: string, changes: ReadonlyMap<string, number>, work: () => void): void {
    const [before, wanted] = [this.#milliWith(new Map()), this.#milliWith(changes)];
    if (wanted > before) this.#ledger.promise(action, { cpuMilli: wanted });
    try {
      work();
    } catch (cause) {
      if (wanted > before) this.#ledger.promise(action, { cpuMilli: before });
      throw cause;
    }
    for (const [id, share] of changes) {
      if (share === 0) this.#shares.delete(id);
      else this.#shares.set(id, share);
    }
    if (wanted < before) this.#ledger.promise(action, { cpuMilli: wanted });
  }

  #milliWith(changes: ReadonlyMap<string, number>): number {
    let sum = 0;
    for (const [id, share] of this.#shares) sum += changes.get(id) ?? share;
    for (const [id, share] of changes) if (!this.#shares.has(id)) sum += share;
    return Math.max(0, Math.ceil(sum * 1e6 - grace)) / 1000;
  }
}

/** What sums of fractions differ by that are the same. */
const grace = 1e-3;

/** Nothing for one that means nothing: whoever is asked for it says so. */
function shareOf({ executionUs, periodUs }: Reservation): number {
  const share = executionUs / periodUs;
  return share > 0 && Number.isFinite(share) ? share : 0;
}
