import { ConsortError } from "#base/errors.ts";
import { digest } from "#base/digest.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { imageContent, imageRefusals } from "#cluster/image-names.ts";
import type { ImageLookup } from "#cluster/image-names.ts";
import { moveOf } from "#cluster/moves.ts";
import type { EnsembleRecord, HostRecord, HostStanding } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { ApplianceSpec, Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { promisableTopology } from "#model/wire.ts";
import { planDiff } from "#planner/diff.ts";
import { lintMapping } from "#planner/lint.ts";
import type { PlacedCloud } from "#planner/departure.ts";
import { bitsPerSecond } from "#base/units.ts";
import type {
  LinkPath,
  Mapping,
  MappingProblem,
  PlacedEnsemble,
  PlacementPolicy,
  Placements,
  UnusableReason,
  Violation,
} from "#planner/mapping.ts";
import { vmView } from "#cluster/vm-views.ts";
import { machineOf } from "#planner/reservations.ts";
import { abilitiesOf } from "#protocol/capability-names.ts";
import type { PlanResult } from "#protocol/http/plan.ts";

/** Finds a mapping; in a worker thread where the problem is large. */
export type Solve = (problem: MappingProblem, signal: AbortSignal) => Promise<Mapping>;

export type AdmissionFacts = {
  readonly topology: Topology;
  readonly hosts: ReadonlyMap<HostId, HostRecord>;
  readonly records: readonly EnsembleRecord[];
  readonly isThere: (host: HostId) => boolean;
  readonly isLost: (host: HostId) => boolean;
  readonly standing: (host: HostId) => HostStanding;
  readonly policy?: PlacementPolicy | undefined;
  readonly image: ImageLookup;
};

/** The question "where could this ensemble run", with everything else left where it is. */
export function mappingProblem(ensemble: Ensemble, facts: AdmissionFacts): MappingProblem {
  const before = facts.records.find((record) => record.ensemble.name === ensemble.name);
  const { placed, ...cloud } = promisedCloud(facts);
  return {
    ...cloud,
    ensembles: [ensemble],
    existing: placed.filter((one) => one.ensemble.name !== ensemble.name),
    ...(facts.policy === undefined ? {} : { policy: facts.policy }),
    ...(before === undefined || before.state === "removing"
      ? {}
      : { previous: placementsOf(before), pinned: pinnedBy(before, ensemble, facts) }),
  };
}

/** Hosts with what can be promised of them, and all that is promised. */
export function promisedCloud(facts: AdmissionFacts): PlacedCloud {
  const unusableReasons = new Map(
    facts.topology.hosts.flatMap(({ id }) => {
      const reason = unusableReason(id, facts);
      return reason === undefined ? [] : [[id, reason] as const];
    }),
  );
  return {
    topology: promisableTopology(facts.topology),
    placed: facts.records.flatMap(placedOf),
    unusableHosts: new Set(unusableReasons.keys()),
    unusableReasons,
    capabilities: new Map([...facts.hosts.values()].map((host) => [host.id, abilitiesOf(host.capabilities)])),
  };
}

/** The same object for the same record: what follows from it need not be computed again. */
function placedOf(record: EnsembleRecord): readonly PlacedEnsemble[] {
  const known = placedByRecord.get(record);
  if (known !== undefined) return known;
  const { ensemble } = record;
  const placed: PlacedEnsemble[] = [{ ensemble, placements: placementsOf(record), paths: record.paths }];
  const sides = (Object.keys(record.moves ?? {}) as ApplianceId[]).flatMap((id) => {
    const move = moveOf(record, id);
    return move === undefined ? [] : [[id, move] as const];
  });
  // What moves holds its room on both hosts, and its links' on both ways: it may have to go back.
  if (sides.length > 0) {
    const before = sides.flatMap(([, { pathsBefore }]) => pathsBefore);
    placed.push({
      ensemble: { ...ensemble, links: [] },
      placements: new Map(sides.map(([id, { from }]) => [id, from])),
      paths: heldBeside(record.paths, before),
    });
  }
  placedByRecord.set(record, placed);
  return placed;
}

/** What links would take the way they went before, beyond what they take now; a link between two that move once. */
function heldBeside(paths: readonly LinkPath[], before: readonly LinkPath[]): readonly LinkPath[] {
  const keyOf = ({ link }: LinkPath): string => `${link.from} ${link.to} ${link.network}`;
  const now = new Map(paths.map((path) => [keyOf(path), path]));
  const each = new Map(before.map((path) => [keyOf(path), path]));
  return [...each].flatMap(([key, path]): LinkPath[] => {
    const taken = now.get(key);
    if (taken === undefined) return [path];
    const isShared = (physical: number): boolean => taken.physicalLinks.includes(physical);
    const more = bitsPerSecond(Math.max(0, path.wireBps - taken.wireBps));
    return [
      { ...path, physicalLinks: path.physicalLinks.filter((physical) => !isShared(physical)) },
      { ...path, physicalLinks: path.physicalLinks.filter(isShared), wireBps: more },
    ];
  });
}

const placedByRecord = new WeakMap<EnsembleRecord, readonly PlacedEnsemble[]>();

/** It takes new appliances. */
const takes = (host: HostId, facts: AdmissionFacts): boolean => unusableReason(host, facts) === undefined;

/** Why it takes no new appliances: what keeps it from that longest. */
function unusableReason(host: HostId, facts: AdmissionFacts): UnusableReason | undefined {
  const { fenced, scheduling } = facts.standing(host);
  if (!facts.isThere(host)) {
    if (facts.hosts.has(host)) return "lost";
    return fenced ? "forgotten" : "absent";
  }
  if (scheduling !== "open") return scheduling;
  return fenced ? "unclean" : undefined;
}

/**
 * What a change of its ensemble leaves where it is, though its host takes nothing new: a cordoned host keeps what it
 * has, and what is to stay in place waits for its host. Unless the change is about where it runs.
 */
function pinnedBy(
  before: EnsembleRecord,
  ensemble: Ensemble,
  facts: AdmissionFacts,
): ReadonlySet<ApplianceId> {
  const specs = new Map(appliancesOf(before.ensemble).map(({ id, spec }) => [id, spec]));
  const pinned = appliancesOf(ensemble).filter(({ id, spec }) => {
    const host = before.placements[id];
    const earlier = specs.get(id);
    if (host === undefined || earlier === undefined || takes(host, facts)) return false;
    if (digest(spec.placement) !== digest(earlier.placement)) return false;
    if (facts.standing(host).scheduling === "draining") return false;
    // A host that has come back, cordoned or not yet clean, keeps what is placed there.
    return facts.isThere(host) || spec.onHostLoss === "in-place";
  });
  return new Set(pinned.map(({ id }) => id));
}

/** Throws `conflict` when an ensemble's earlier form cannot be had again, as others hold what it held. */
export function checkHolds(before: EnsembleRecord, facts: AdmissionFacts): void {
  const { name } = before.ensemble;
  // A host that is silent now is no reason: it gets its plan when it is back.
  const problem = {
    ...mappingProblem(before.ensemble, facts),
    unusableHosts: new Set<HostId>(),
    absent: new Set(before.over ?? []),
  };
  const finding = lintMapping(problem, { placements: placementsOf(before), paths: before.paths })[0];
  if (finding === undefined) return;
  throw new ConsortError(
    "conflict",
    `Cannot cancel: what was desired of ${name} before does not fit any more (${finding.message}); bring up another form of it, or take it down`,
  );
}

/** Throws `internal` when a mapping that claims to keep every promise does not: a defect of the mapper is not acted on. */
export function checkMapping(problem: MappingProblem, mapping: Mapping): void {
  const findings = lintMapping(problem, mapping);
  if (findings.length === 0) return;
  const about = problem.ensembles.map((ensemble) => ensemble.name).join(", ");
  throw new ConsortError(
    "internal",
    `Cannot bring up ${about}: the placement found breaks a promise it claims to keep (${findings[0]?.message})`,
    { details: { findings } },
  );
}

export function placementsOf(record: EnsembleRecord | undefined): Placements {
  return new Map(Object.entries(record?.placements ?? {}) as [never, HostId][]);
}

type PlanGiven = {
  readonly ensemble: Ensemble;
  readonly before: EnsembleRecord | undefined;
  readonly mapping: Mapping;
  readonly reasons?: ReadonlyMap<string, string>;
  readonly image: ImageLookup;
};

/** What `plan` shows and `up` decides by. */
export function planResult(given: PlanGiven): PlanResult {
  const { ensemble, before, mapping, reasons = new Map() } = given;
  const diff = planDiff(inUse(before), ensemble, placementsOf(before), mapping.placements);
  const images = imageRefusals(ensemble, given.image);
  const specs = new Map(appliancesOf(ensemble).map(({ id, spec }) => [id, spec]));
  return {
    ensemble: ensemble.name,
    satisfiable: mapping.violations.length + images.length === 0,
    changes: [
      ...diff.appliances.map((change) => ({
        action: applianceActions[change.change],
        subject: change.appliance,
        detail: describeChange(change),
      })),
      ...imageChanges(given, new Set(diff.appliances.map((change) => change.appliance))),
      ...diff.links.map(({ change, link, fields }) => ({
        action: linkActions[change],
        subject: `${link.from} – ${link.to}`,
        detail: fields.map(fieldName).join(", "),
      })),
      ...diff.rules.map(({ change, kind, name }) => ({
        action: ruleActions[change],
        subject: `${kind} ${name}`,
        detail: "",
      })),
    ],
    placements: [...mapping.placements].map(([appliance, host]) => ({
      appliance,
      host,
      reason: reasons.get(appliance) ?? "least cost of all hosts",
      ...promisesOf(specs.get(appliance), appliance),
    })),
    links: mapping.paths.map((path) => ({
      from: path.link.from,
      to: path.link.to,
      network: path.link.network,
      connection: path.connection,
      path: [...path.nodes],
      ...(path.link.spec.bandwidthBps === undefined ? {} : { bandwidthBps: path.link.spec.bandwidthBps }),
    })),
    refusals: [
      ...images,
      ...mapping.violations.map((violation) => ({
        subject: violationSubject(violation),
        message: violation.message,
        remedy: violation.remedy,
      })),
    ],
  };
}

/** Machines whose images' names stand for other content than when they were brought up, and that change in nothing else. */
function imageChanges(
  { ensemble, before, mapping, image }: PlanGiven,
  told: ReadonlySet<ApplianceId>,
): PlanResult["changes"] {
  return appliancesOf(ensemble).flatMap(({ id, spec }) => {
    const names = spec.vm === undefined ? [] : [spec.image ?? "", ...spec.vm.software];
    const isOther = (name: string): boolean => {
      const [was, is] = [before?.images?.[name], image(name)];
      return was !== undefined && is !== undefined && digest(imageContent(was)) !== digest(imageContent(is));
    };
    if (told.has(id) || !names.some(isOther)) return [];
    const host = mapping.placements.get(id);
    return [
      { action: "restart" as const, subject: id, detail: `${host === undefined ? "" : `on ${host}: `}image` },
    ];
  });
}

/** What is reserved for an appliance beside room, and how it would be kept. */
function promisesOf(
  spec: ApplianceSpec | undefined,
  id: ApplianceId,
): Pick<PlanResult["placements"][number], "reservation" | "traffic" | "vm"> {
  if (spec === undefined) return {};
  const machine = machineOf({ id, spec });
  const vm = vmView(spec, undefined);
  return {
    ...(machine === undefined ? {} : { reservation: { ...machine.reservation, enforcement: machine.kind } }),
    ...(spec.traffic === undefined ? {} : { traffic: spec.traffic }),
    ...(vm === undefined ? {} : { vm }),
  };
}

const applianceActions = {
  created: "create",
  destroyed: "destroy",
  moved: "move",
  restarted: "restart",
  resized: "resize",
  updated: "resize",
} as const;

const linkActions = { added: "link-add", removed: "link-remove", changed: "link-change" } as const;

/** Classes, monitors and strategies. */
const ruleActions = { added: "add", removed: "remove", changed: "change" } as const;

function describeChange(change: ReturnType<typeof planDiff>["appliances"][number]): string {
  const fields = change.fields.length === 0 ? "" : `: ${change.fields.map(fieldName).join(", ")}`;
  if (change.change === "moved") return `${change.from} → ${change.to}${fields}`;
  const where = change.to ?? change.from;
  return `${where === undefined ? "nowhere" : `on ${where}`}${fields}`;
}

/** As ensemble files name it: "memoryBytes" is `memory` there. */
const fieldName = (field: string): string => field.replace(/(?:Bytes|Bps|Ms)$/, "");

/** What is declared, with the subnets that were chosen for it. */
function inUse(record: EnsembleRecord | undefined): Ensemble | undefined {
  if (record === undefined) return undefined;
  const networks = record.ensemble.networks.map((network) => {
    const subnet = record.networks[network.name]?.subnet ?? network.subnet;
    return subnet === undefined ? network : { ...network, subnet };
  });
  return { ...record.ensemble, networks };
}

/** What a refusal is about, for people: a host, a cable, appliances. */
export function violationSubject(violation: Violation): string {
  switch (violation.kind) {
    case "host-cpu":
    case "host-memory":
    case "host-schedule":
      return violation.host;
    case "link-bandwidth":
      return `${violation.a} – ${violation.b}`;
    case "latency":
    case "unreachable":
      return `${violation.from} – ${violation.to}`;
    case "rule":
      return violation.appliances.join(", ");
    case "no-host":
    case "no-driver":
      return violation.appliance;
    default:
      return violation satisfies never;
  }
}
