import { digest } from "#base/digest.ts";
import type { ApplianceId } from "#base/ids.ts";
import { mappingProblem, placementsOf } from "#cluster/admission.ts";
import type { AdmissionFacts } from "#cluster/admission.ts";
import { moveOf } from "#cluster/moves.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { ApplianceLink } from "#model/appliances.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { LinkPath, MappingProblem, Violation } from "#planner/mapping.ts";
import { findViolations } from "#planner/violations.ts";

type Routed = Pick<EnsembleRecord, "ensemble" | "placements" | "paths">;

const keyOf = ({ from, to, network }: ApplianceLink): string => `${from} ${to} ${network}`;

const joins = ({ placements }: Pick<Routed, "placements">, { link, nodes }: LinkPath): boolean =>
  nodes[0] === placements[link.from] && nodes.at(-1) === placements[link.to];

/** Links whose ends both have a host and that no path joins. */
export function unroutedLinks(record: Routed): readonly ApplianceLink[] {
  if (record.ensemble.links.length === 0) return [];
  const routed = new Set(record.paths.filter((path) => joins(record, path)).map(({ link }) => keyOf(link)));
  return linksOf(record.ensemble).filter(
    (link) =>
      record.placements[link.from] !== undefined &&
      record.placements[link.to] !== undefined &&
      !routed.has(keyOf(link)),
  );
}

/** The question which ways its links can take, all of it staying where it is, hosts that are silent now among them. */
export function routingProblem(record: EnsembleRecord, facts: AdmissionFacts): MappingProblem {
  const previous = placementsOf(record);
  const absent = appliancesOf(record.ensemble).flatMap(({ id }) => (previous.has(id) ? [] : [id]));
  return {
    ...mappingProblem(record.ensemble, facts),
    previous,
    pinned: new Set(previous.keys()),
    absent: new Set(absent),
    unusableHosts: new Set(),
  };
}

/** What a link is promised cannot be kept. */
export const isOfLinks = ({ kind }: Violation): boolean =>
  kind === "link-bandwidth" || kind === "latency" || kind === "unreachable";

/**
 * The paths of a record once one of it stays where it was, `before` being those of its links from there. Its links'
 * other ends may be elsewhere by now, where an old path does not lead, and what others take may leave it no room: then
 * all are routed again. A link for which there is no way is left without a path (see unroutedLinks).
 */
export function pathsWhereTheyAre(
  record: EnsembleRecord,
  before: readonly LinkPath[],
  facts: AdmissionFacts,
): readonly LinkPath[] {
  const kept = record.paths.filter((path) => joins(record, path));
  const missing = new Map(unroutedLinks(record).map((link) => [keyOf(link), link]));
  if (missing.size === 0) return kept;
  const isSought = ({ link }: LinkPath): boolean => {
    const declared = missing.get(keyOf(link));
    // It may have been changed since.
    return declared !== undefined && digest(declared.spec) === digest(link.spec);
  };
  const again = before.filter((path) => joins(record, path) && isSought(path));
  const problem = routingProblem(record, facts);
  const placements = placementsOf(record);
  const isKept = (some: readonly LinkPath[]): boolean =>
    !findViolations(problem, placements, some).some(isOfLinks);
  if (again.length === missing.size && isKept([...kept, ...again])) return [...kept, ...again];
  const routed = solveMapping(problem, { seed: 1 }).paths;
  if (isKept(routed)) return routed;
  const found = [...kept];
  for (const path of routed) if (isSought(path) && isKept([...found, path])) found.push(path);
  return found;
}

/** Those whose links have no path though nothing of them moves: a way is to be found, or another place. */
export function unroutedIn(record: EnsembleRecord): ReadonlySet<ApplianceId> {
  const links = unroutedLinks(record).filter(({ from, to }) =>
    [from, to].every((id) => moveOf(record, id) === undefined),
  );
  return new Set(links.flatMap(({ from, to }) => [from, to]));
}
