import type { ApplianceId, HostId } from "#base/ids.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import type { Appliance, ApplianceLink } from "#model/appliances.ts";
import type { ApplianceSpec, Ensemble, TeamSpec } from "#model/ensemble.ts";
import type { VmSpec } from "#model/vm.ts";
import type { Placements } from "#planner/mapping.ts";

export type ApplianceChange = {
  readonly appliance: ApplianceId;
  /**
   * created, destroyed: as the words say. moved: destroyed on `from`, created on `to`. restarted: `fields` changed
   * that only a new start can bring in. resized: what is reserved for it, or whether it is held, without a restart. updated: what the host
   * applies to a running appliance (restart policy, priority, grace).
   */
  readonly change: "created" | "destroyed" | "moved" | "restarted" | "resized" | "updated";
  readonly from?: HostId;
  readonly to?: HostId;
  /** Names of the fields of its spec that differ. */
  readonly fields: readonly string[];
};

export type LinkChange = {
  readonly change: "added" | "removed" | "changed";
  /** The link as it will be; as it was when removed. */
  readonly link: ApplianceLink;
  readonly fields: readonly string[];
};

export type RuleChange = {
  readonly change: "added" | "removed" | "changed";
  readonly kind: "class" | "monitor" | "strategy";
  readonly name: string;
};

export type PlanDiff = {
  readonly appliances: readonly ApplianceChange[];
  readonly links: readonly LinkChange[];
  readonly rules: readonly RuleChange[];
  readonly networksAdded: readonly string[];
  readonly networksRemoved: readonly string[];
  /** Nothing differs at all. */
  readonly empty: boolean;
};

/** Hosts change these while it runs; a limit that was not there, or of programs, only with a new start. */
const liveFields = new Set(["cpu", "memoryBytes", "enforcement", "teams", "traffic", "suspended", "vm"]);
const limitFields = new Set(["cpu", "memoryBytes"]);
const quietFields = new Set([
  "restart",
  "priority",
  "stopGraceMs",
  "replicas",
  "numbered",
  "placement",
  "name",
]);

const nobody: ReadonlySet<ApplianceId> = new Set();

/**
 * What `up` would change, for people and for `--json`. `undefined` stands for an ensemble that does not exist
 * (before: a new one; after: `down`). Appliances without a placement are shown without hosts. Networks of `before`
 * have the subnets in use. Those `absent` from `after` are not placed for now: gone where they ran, else not spoken of.
 */
export function planDiff(
  before: Ensemble | undefined,
  after: Ensemble | undefined,
  placementsBefore: Placements,
  placementsAfter: Placements,
  absent: ReadonlySet<ApplianceId> = nobody,
): PlanDiff {
  // Who was left out before and is left out again is no change.
  const unseen = absent.difference(new Set(placementsBefore.keys()));
  const were = before === undefined ? [] : appliancesOf(before).filter(({ id }) => !unseen.has(id));
  const old = new Map(were.map((one) => [one.id, one]));
  const there = after === undefined ? [] : appliancesOf(after).filter(({ id }) => !absent.has(id));
  const next = new Map(there.map((one) => [one.id, one]));
  const renumbered = renumberedNetworks(before, after);
  const appliances: ApplianceChange[] = [];
  for (const [id, appliance] of next) {
    const placed = hosts(placementsBefore.get(id), placementsAfter.get(id));
    const readdressed = appliance.spec.networks.some((name) => renumbered.has(name));
    const change = applianceChange(old.get(id), appliance, placed, readdressed ? ["subnet"] : []);
    if (change !== undefined) appliances.push(change);
  }
  for (const id of old.keys()) {
    if (next.has(id)) continue;
    appliances.push({
      appliance: id,
      change: "destroyed",
      ...hosts(placementsBefore.get(id), undefined),
      fields: [],
    });
  }
  const links = linkChanges(before, after, unseen, absent);
  const networksBefore = (before?.networks ?? []).map((network) => network.name);
  const networksAfter = (after?.networks ?? []).map((network) => network.name);
  const networksAdded = networksAfter.filter((name) => !networksBefore.includes(name));
  const networksRemoved = networksBefore.filter((name) => !networksAfter.includes(name));
  const rules = ruleChanges(before, after);
  const changes = [appliances, links, rules, networksAdded, networksRemoved];
  return {
    appliances,
    links,
    rules,
    networksAdded,
    networksRemoved,
    empty: changes.every((list) => list.length === 0),
  };
}

function applianceChange(
  before: Appliance | undefined,
  after: Appliance,
  placed: { readonly from?: HostId; readonly to?: HostId },
  addressing: readonly string[],
): ApplianceChange | undefined {
  const { from, to } = placed;
  const base = { appliance: after.id, ...placed };
  // Known but placed nowhere so far: it was left out.
  if (before === undefined || (from === undefined && to !== undefined))
    return { ...base, change: "created", fields: [] };
  const fields = [...differingFields<ApplianceSpec>(before.spec, after.spec), ...addressing];
  if (from !== undefined && to !== undefined && from !== to) return { ...base, change: "moved", fields };
  const restarts = (field: string): boolean =>
    !quietFields.has(field) && !isLive(field, before.spec, after.spec);
  if (fields.some(restarts)) return { ...base, change: "restarted", fields };
  if (fields.some((field) => liveFields.has(field))) return { ...base, change: "resized", fields };
  const visible = fields.filter((field) => !["replicas", "numbered", "name"].includes(field));
  return visible.length === 0 ? undefined : { ...base, change: "updated", fields: visible };
}

function isLive(field: string, before: ApplianceSpec, after: ApplianceSpec): boolean {
  if (limitFields.has(field)) {
    const key = field as keyof ApplianceSpec;
    return (before[key] === undefined) === (after[key] === undefined);
  }
  if (field === "teams") return canonical(programsOf(before.teams)) === canonical(programsOf(after.teams));
  if (field === "vm") return canonical(lastingOf(before.vm)) === canonical(lastingOf(after.vm));
  return liveFields.has(field);
}

/** What of a machine is only had by a new start. */
function lastingOf(vm: VmSpec | undefined): unknown {
  if (vm === undefined) return undefined;
  const { vcpus: _vcpus, disk: _disk, checkpoint: _checkpoint, start: _start, ...rest } = vm;
  return rest;
}

/** What of teams is started anew when it changes. */
const programsOf = (teams: readonly TeamSpec[] | undefined): unknown =>
  teams?.map(({ name, jobs, teams: inner }) => ({ name, jobs, teams: programsOf(inner) }));

/** Classes, monitors and strategies are changed in place, whoever runs. */
function ruleChanges(before: Ensemble | undefined, after: Ensemble | undefined): RuleChange[] {
  const kinds = [
    ["class", before?.serviceClasses, after?.serviceClasses],
    ["monitor", before?.monitors, after?.monitors],
    ["strategy", before?.strategies, after?.strategies],
  ] as const;
  return kinds.flatMap(([kind, were = [], are = []]): RuleChange[] => {
    const old = new Map<string, unknown>(were.map((one) => [one.name, one]));
    const next = new Map<string, unknown>(are.map((one) => [one.name, one]));
    return [...new Set([...old.keys(), ...next.keys()])].flatMap((name): RuleChange[] => {
      if (!old.has(name)) return [{ change: "added", kind, name }];
      if (!next.has(name)) return [{ change: "removed", kind, name }];
      return canonical(old.get(name)) === canonical(next.get(name))
        ? []
        : [{ change: "changed", kind, name }];
    });
  });
}

/** Networks whose members get other addresses. One without a subnet keeps what it has. */
function renumberedNetworks(before: Ensemble | undefined, after: Ensemble | undefined): ReadonlySet<string> {
  const old = new Map((before?.networks ?? []).map(({ name, subnet }) => [name, subnet]));
  const changed = (after?.networks ?? []).filter(
    ({ name, subnet }) => old.has(name) && subnet !== undefined && old.get(name) !== subnet,
  );
  return new Set(changed.map(({ name }) => name));
}

function hosts(from: HostId | undefined, to: HostId | undefined): { from?: HostId; to?: HostId } {
  return { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) };
}

function linkChanges(
  before: Ensemble | undefined,
  after: Ensemble | undefined,
  unseen: ReadonlySet<ApplianceId>,
  absent: ReadonlySet<ApplianceId>,
): LinkChange[] {
  const key = (link: ApplianceLink): string => `${[link.from, link.to].sort().join(" ")} ${link.network}`;
  const listed = (ensemble: Ensemble | undefined, without: ReadonlySet<ApplianceId>) =>
    new Map(
      (ensemble === undefined ? [] : linksOf(ensemble))
        .filter(({ from, to }) => !without.has(from) && !without.has(to))
        .map((link) => [key(link), link]),
    );
  const old = listed(before, unseen);
  const next = listed(after, absent);
  const changes: LinkChange[] = [];
  for (const [name, link] of next) {
    const was = old.get(name);
    if (was === undefined) changes.push({ change: "added", link, fields: [] });
    else {
      const fields = differingFields(was.spec, link.spec).filter((field) => !linkNames.has(field));
      if (fields.length > 0) changes.push({ change: "changed", link, fields });
    }
  }
  for (const [name, link] of old) if (!next.has(name)) changes.push({ change: "removed", link, fields: [] });
  return changes;
}

/** Part of a link's identity, or another way to write the same one. */
const linkNames = new Set(["from", "to", "network"]);

function differingFields<Spec extends object>(before: Spec, after: Spec): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => {
    const key = name as keyof Spec;
    return canonical(before[key]) !== canonical(after[key]);
  });
}

/** JSON with sorted keys: equal for values that mean the same. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, part: unknown) =>
      typeof part === "object" && part !== null && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    ) ?? "absent"
  );
}
