import { applianceId, applianceName, networkId } from "#base/ids.ts";
import type { ApplianceId, ApplianceName, NetworkId } from "#base/ids.ts";
import { adjusted } from "#model/adjustments.ts";
import type { Adjustment, ApplianceSpec, Ensemble, LinkSpec } from "#model/ensemble.ts";

/** One appliance after its spec's replicas are counted out. */
export type Appliance = {
  readonly id: ApplianceId;
  readonly name: ApplianceName;
  readonly spec: ApplianceSpec;
};

/** A link between two appliances after replicas are counted out; `network` is decided. */
export type ApplianceLink = {
  readonly from: ApplianceId;
  readonly to: ApplianceId;
  readonly network: NetworkId;
  readonly spec: LinkSpec;
};

/** "web" alone keeps its name; replicas are "web-1", "web-2", …, unless it is told otherwise of the first. */
export function replicaNames(spec: ApplianceSpec): ApplianceName[] {
  const isNumbered = areNumbered(spec);
  return Array.from({ length: spec.replicas }, (_, index) =>
    applianceName(index === 0 && !isNumbered ? spec.name : `${spec.name}-${index + 1}`),
  );
}

/** Whether the first one has a number, too. */
export const areNumbered = ({ numbered, replicas }: ApplianceSpec): boolean => numbered ?? replicas > 1;

/** What is counted out of ensembles, which are never changed in place: a manager of many asks again and again. */
const knownAppliances = new WeakMap<Ensemble, readonly Appliance[]>();
const knownLinks = new WeakMap<Ensemble, readonly ApplianceLink[]>();

function remembered<Part>(
  known: WeakMap<Ensemble, Part>,
  ensemble: Ensemble,
  make: (ensemble: Ensemble) => Part,
): Part {
  const before = known.get(ensemble);
  if (before !== undefined) return before;
  const made = make(ensemble);
  known.set(ensemble, made);
  return made;
}

/** Every single appliance of an ensemble, as it is now: with what was adjusted of it. */
export const appliancesOf = (ensemble: Ensemble): readonly Appliance[] =>
  remembered(knownAppliances, ensemble, countOutAppliances);

/** Every link between two distinct appliances that share its network. A spec no network can carry is left out; formats/ refuses it. */
export const linksOf = (ensemble: Ensemble): readonly ApplianceLink[] =>
  remembered(knownLinks, ensemble, countOutLinks);

function countOutAppliances(ensemble: Ensemble): readonly Appliance[] {
  const adjustments = new Map<string, Adjustment>(
    ensemble.adjustments?.map((adjustment) => [adjustment.appliance, adjustment]),
  );
  return ensemble.appliances.flatMap((spec) =>
    replicaNames(spec).map((name) => ({
      id: applianceId(ensemble.name, name),
      name,
      spec: adjusted(spec, adjustments.get(name)),
    })),
  );
}

function countOutLinks(ensemble: Ensemble): readonly ApplianceLink[] {
  const specs = new Map(ensemble.appliances.map((spec) => [spec.name, spec]));
  return ensemble.links.flatMap((link) => {
    const from = specs.get(link.from);
    const to = specs.get(link.to);
    if (from === undefined || to === undefined) return [];
    const network = link.network ?? from.networks.find((name) => to.networks.includes(name));
    if (network === undefined) return [];
    return replicaPairs(from, to).map(([a, b]) => ({
      from: applianceId(ensemble.name, a),
      to: applianceId(ensemble.name, b),
      network: networkId(ensemble.name, network),
      spec: link,
    }));
  });
}

function replicaPairs(from: ApplianceSpec, to: ApplianceSpec): [ApplianceName, ApplianceName][] {
  const left = replicaNames(from);
  const right = replicaNames(to);
  if (from.name !== to.name)
    return left.flatMap((a) => right.map((b): [ApplianceName, ApplianceName] => [a, b]));
  return left.flatMap((a, index) => left.slice(index + 1).map((b): [ApplianceName, ApplianceName] => [a, b]));
}
