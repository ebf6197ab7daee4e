import type { HostId } from "#base/ids.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { hostRecordOf } from "#cluster/hosts-seen.ts";
import { keys } from "#cluster/records.ts";
import type { HostStanding } from "#cluster/records.ts";
import type { StoreWrite } from "#drivers/store/port.ts";

/** Keeps what hosts tell of themselves, and lets those take part again that have become clean. */
export class HostReconciler {
  readonly #context: ClusterContext;
  /** Hosts whose reports tell something of them that is not on record. */
  readonly #changed = new Set<HostId>();

  constructor(context: ClusterContext) {
    this.#context = context;
  }

  changed(host: HostId): void {
    this.#changed.add(host);
  }

  async step(signal: AbortSignal): Promise<void> {
    await this.#keepRecords(signal);
    await this.#openCleanHosts(signal);
    await this.#context.pace.follow(this.#context.state.hosts().size, signal);
  }

  async #keepRecords(signal: AbortSignal): Promise<void> {
    const { state, seen, wake } = this.#context;
    if (this.#changed.size === 0) return;
    const hosts = [...this.#changed];
    const writes = hosts.flatMap((host): StoreWrite[] => {
      const report = seen.report(host);
      return report === undefined ? [] : [{ put: keys.host(host), value: hostRecordOf(report) }];
    });
    await state.change(() => ({ writes, result: undefined }), signal);
    for (const host of hosts) this.#changed.delete(host);
    wake.now();
  }

  async #openCleanHosts(signal: AbortSignal): Promise<void> {
    const { state, events, wakeRecovery } = this.#context;
    if (this.#cleanHosts().length === 0) return;
    const opened = await state.change(() => {
      const clean = this.#cleanHosts();
      const writes = clean.map((host): StoreWrite => {
        const standing: HostStanding = { ...state.standing(host), fenced: false };
        return { put: keys.standing(host), value: standing };
      });
      return { writes, result: clean };
    }, signal);
    for (const host of opened) {
      events.append(
        "host.clean",
        `host/${host}`,
        `${host} has nothing left that others run, and takes part again`,
      );
    }
    wakeRecovery.now();
  }

  /** Fenced hosts that have followed the newest plan, and have nothing that it does not have. */
  #cleanHosts(): HostId[] {
    const { state, seen, dispatcher } = this.#context;
    if (!this.#context.isPlanned()) return [];
    return [...state.standings()].flatMap(([host, { fenced }]) => {
      const report = fenced ? seen.freshReport(host) : undefined;
      if (report === undefined || !dispatcher.hasFollowed(report)) return [];
      const wanted = dispatcher.body(host)?.appliances ?? [];
      const isWanted = (id: string): boolean => wanted.some((one) => one.id === id && one.held !== true);
      return report.appliances.every(({ id }) => isWanted(id)) ? [host] : [];
    });
  }
}
