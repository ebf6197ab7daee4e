import type { ApplianceId, HostId } from "#base/ids.ts";
import { placesOf } from "#cluster/moves.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { unroutedLinks } from "#cluster/rerouting.ts";
import { appliancesOf } from "#model/appliances.ts";

/**
 * Records by the hosts their appliances are placed on, and those that wait for something. Follows the records one by
 * one: most looks at a large cloud concern few hosts and few ensembles.
 */
export class Whereabouts {
  readonly #byHost = new Map<HostId, Map<string, EnsembleRecord>>();
  readonly #unsettled = new Map<string, EnsembleRecord>();
  readonly #unleased = new Map<string, EnsembleRecord>();
  readonly #kept = new Map<string, EnsembleRecord>();

  /** Placed there, some of it. */
  on(host: HostId): Iterable<EnsembleRecord> {
    return this.#byHost.get(host)?.values() ?? [];
  }

  /** Being removed, leaving a host, or with an appliance that has none, or a link that has no way. */
  unsettled(): readonly EnsembleRecord[] {
    return [...this.#unsettled.values()];
  }

  /** With an appliance that may run somewhere without obeying a lease. */
  unleased(): readonly EnsembleRecord[] {
    return [...this.#unleased.values()];
  }

  /** With a machine that is on disk or on its way there, or that goes on from a checkpoint. */
  machinesKept(): readonly EnsembleRecord[] {
    return [...this.#kept.values()];
  }

  /** One took the place of the other; undefined: there was none, or there is none any more. */
  replace(name: string, before: EnsembleRecord | undefined, after: EnsembleRecord | undefined): void {
    const hosts = new Set(after === undefined ? [] : hostsOf(after));
    for (const host of before === undefined ? [] : hostsOf(before)) {
      if (!hosts.has(host)) this.#leave(host, name);
    }
    if (after !== undefined) for (const host of hosts) this.#come(host, name, after);
    keep(this.#unsettled, name, after, isUnsettled);
    keep(this.#unleased, name, after, ({ unleased }) => Object.keys(unleased).length > 0);
    keep(this.#kept, name, after, ({ parked, restores }) => parked !== undefined || restores !== undefined);
  }

  clear(): void {
    for (const all of [this.#byHost, this.#unsettled, this.#unleased, this.#kept]) all.clear();
  }

  #come(host: HostId, name: string, record: EnsembleRecord): void {
    const here = this.#byHost.get(host);
    if (here === undefined) this.#byHost.set(host, new Map([[name, record]]));
    else here.set(name, record);
  }

  #leave(host: HostId, name: string): void {
    const here = this.#byHost.get(host);
    here?.delete(name);
    if (here?.size === 0) this.#byHost.delete(host);
  }
}

function keep(
  records: Map<string, EnsembleRecord>,
  name: string,
  record: EnsembleRecord | undefined,
  belongs: (record: EnsembleRecord) => boolean,
): void {
  if (record !== undefined && belongs(record)) records.set(name, record);
  else records.delete(name);
}

function isUnsettled(record: EnsembleRecord): boolean {
  const { ensemble, state, placements, leaving, over = [] } = record;
  if (state === "removing" || Object.keys(leaving).length > 0 || unroutedLinks(record).length > 0)
    return true;
  return appliancesOf(ensemble).some(({ id }) => placements[id] === undefined && !over.includes(id));
}

const hostsByRecord = new WeakMap<EnsembleRecord, readonly HostId[]>();

/** The hosts it is placed on or moves from, each once. */
export function hostsOf(record: EnsembleRecord): readonly HostId[] {
  const known = hostsByRecord.get(record);
  if (known !== undefined) return known;
  const moves = Object.keys(record.moves ?? {}) as ApplianceId[];
  const sides = moves.flatMap((id) => placesOf(record, id));
  const hosts = [...new Set([...Object.values<HostId>(record.placements), ...sides])];
  hostsByRecord.set(record, hosts);
  return hosts;
}
