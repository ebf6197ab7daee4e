import { limits } from "#base/limits.ts";
import { formatBandwidth } from "#base/units.ts";
import { placementsOf } from "#cluster/admission.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { explainMapping } from "#planner/explain.ts";
import type { ApplianceExplanation, LinkExplanation } from "#planner/explain.ts";
import type { Mapping, MappingProblem } from "#planner/mapping.ts";
import type { Explanation } from "#protocol/http/plan.ts";

/** Why each appliance was put where it is, in one line each: against the best of the hosts it was not put on. */
export function placementReasons(problem: MappingProblem, mapping: Mapping): ReadonlyMap<string, string> {
  const { appliances } = explainMapping(problem, mapping);
  return new Map(appliances.map((one) => [one.appliance, reasonOf(one)]));
}

function reasonOf({ candidates }: ApplianceExplanation): string {
  const others = candidates.filter((candidate) => !candidate.chosen);
  const next = others[0];
  if (next === undefined) return "the only host there is";
  if (next.costChange === undefined) return `the only host allowed; ${next.host}: ${next.reason}`;
  return `next best ${next.host}: ${next.reason}`;
}

/** Why everything of a placed ensemble is where it is, weighed anew with all else as it is now. */
export function explanationOf(record: EnsembleRecord, problem: MappingProblem): Explanation {
  const { appliances, links } = explainMapping(withoutHistory(problem), asMapping(record));
  return {
    ensemble: record.ensemble.name,
    appliances: appliances.map((one) => ({
      appliance: one.appliance,
      ...(one.host === undefined ? {} : { host: one.host }),
      ...bindingOf(one),
      candidates: one.candidates.slice(0, limits.candidatesShown).map(({ host, costChange, reason }) => ({
        host,
        verdict: reason,
        ...(costChange === undefined ? {} : { score: costChange }),
      })),
    })),
    links: links.map(linkExplanation),
  };
}

/** What keeps it from the best of the other hosts; nothing when that one were as good. */
function bindingOf({ candidates }: ApplianceExplanation): { binding?: string } {
  const chosen = candidates.find((candidate) => candidate.chosen);
  if (chosen !== undefined && chosen.reason !== "chosen") return { binding: chosen.reason };
  const next = candidates.find((candidate) => !candidate.chosen);
  if (next === undefined || next.costChange === 0) return {};
  return { binding: `${next.host}: ${next.reason}` };
}

function linkExplanation({ path, binding, reason }: LinkExplanation): Explanation["links"][number] {
  const room =
    binding === undefined
      ? reason
      : `${binding.a} – ${binding.b}: ${formatBandwidth(binding.freeBps)} of ${formatBandwidth(binding.capacityBps)} left`;
  return {
    from: path.link.from,
    to: path.link.to,
    connection: path.connection,
    path: [...path.nodes],
    binding: room,
  };
}

/** Where it runs now is what is to be explained, not a reason for it. */
function withoutHistory({ previous: _previous, ...problem }: MappingProblem): MappingProblem {
  return problem;
}

function asMapping(record: EnsembleRecord): Mapping {
  const nothing = {
    total: 0,
    distance: 0,
    latency: 0,
    balance: 0,
    movement: 0,
    violation: 0,
    bandwidthHopsBps: 0,
    moved: 0,
  };
  return { placements: placementsOf(record), paths: record.paths, violations: [], score: 1, cost: nothing };
}
