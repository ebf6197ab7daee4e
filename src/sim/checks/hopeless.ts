import type { HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import { promisableTopology } from "#model/wire.ts";
import { describedAbilities } from "#planner/demand.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { Placements } from "#planner/mapping.ts";
import type { World } from "#sim/checks/world.ts";

/**
 * All of an ensemble together finds no place on the hosts that take appliances, with every other ensemble where it is:
 * it lost a host, and others have got the room since.
 */
export function isHopeless(record: EnsembleRecord, world: World): boolean {
  const placementsOf = (one: EnsembleRecord): Placements =>
    new Map(Object.entries(one.placements) as [never, HostId][]);
  const closed = [...world.standings].filter(([, one]) => one.fenced || one.scheduling !== "open");
  const ended = new Set(
    world.machines.flatMap(({ appliances }) =>
      appliances.flatMap(({ id, state }) => (state === "exited" || state === "failed" ? [id] : [])),
    ),
  );
  const problem = {
    topology: promisableTopology(world.topology),
    ensembles: [record.ensemble],
    capabilities: describedAbilities(world.topology),
    existing: world.records
      .filter((other) => other.ensemble.name !== record.ensemble.name)
      .map((other) => ({ ensemble: other.ensemble, placements: placementsOf(other), paths: other.paths })),
    // What is to stay in place makes no room, nor what has ended: it would run again.
    previous: placementsOf(record),
    pinned: new Set(
      appliancesOf(record.ensemble)
        .filter(({ id, spec }) => spec.onHostLoss === "in-place" || ended.has(id))
        .filter(({ id }) => record.placements[id] !== undefined)
        .map(({ id }) => id),
    ),
    unusableHosts: new Set(closed.map(([host]) => host)),
  };
  return solveMapping(problem, { seed: 1 }).violations.length > 0;
}
