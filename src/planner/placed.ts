import type { HostId } from "#base/ids.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Appliance } from "#model/appliances.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Mapping, PlacedEnsemble } from "#planner/mapping.ts";

/** A mapping of several ensembles, taken apart: each holds its own again. */
export function placedBy(ensembles: readonly Ensemble[], mapping: Mapping): PlacedEnsemble[] {
  return ensembles.map((ensemble) => {
    const ids = new Set(appliancesOf(ensemble).map(({ id }) => id));
    return {
      ensemble,
      placements: new Map([...mapping.placements].filter(([id]) => ids.has(id))),
      paths: mapping.paths.filter(({ link }) => ids.has(link.from)),
    };
  });
}

/** What is on each host that has anything; hosts in the order in which they are met. */
export function appliancesByHost(
  placed: readonly PlacedEnsemble[],
): ReadonlyMap<HostId, readonly Appliance[]> {
  const here = new Map<HostId, Appliance[]>();
  for (const { ensemble, placements } of placed) {
    for (const appliance of appliancesOf(ensemble)) {
      const host = placements.get(appliance.id);
      if (host === undefined) continue;
      const list = here.get(host);
      if (list === undefined) here.set(host, [appliance]);
      else list.push(appliance);
    }
  }
  return here;
}
