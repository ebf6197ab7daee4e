import type { HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";

/** Found once for a state of the cloud: most looks at a large one concern few hosts and few ensembles. */
export type Whereabouts = {
  readonly byHost: ReadonlyMap<HostId, ReadonlySet<EnsembleRecord>>;
  /** Being removed, leaving a host, or with an appliance that has none. */
  readonly unsettled: readonly EnsembleRecord[];
};

export function whereaboutsOf(records: readonly EnsembleRecord[]): Whereabouts {
  const byHost = new Map<HostId, Set<EnsembleRecord>>();
  for (const record of records) {
    for (const host of Object.values<HostId>(record.placements)) {
      const here = byHost.get(host);
      if (here === undefined) byHost.set(host, new Set([record]));
      else here.add(record);
    }
  }
  return { byHost, unsettled: records.filter(isUnsettled) };
}

function isUnsettled({ ensemble, state, placements, leaving, over = [] }: EnsembleRecord): boolean {
  if (state === "removing" || Object.keys(leaving).length > 0) return true;
  return appliancesOf(ensemble).some(({ id }) => placements[id] === undefined && !over.includes(id));
}
