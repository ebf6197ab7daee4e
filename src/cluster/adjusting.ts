import { ConsortError } from "#base/errors.ts";
import { applianceName } from "#base/ids.ts";
import type { ApplianceName } from "#base/ids.ts";
import { formatBandwidth, formatBytes } from "#base/units.ts";
import type { BitsPerSecond, Bytes } from "#base/units.ts";
import { act } from "#control/adaptation/actions.ts";
import { formatRequest } from "#control/adaptation/move.ts";
import { SettingsDraft, same } from "#control/adaptation/settings.ts";
import { teamChanges } from "#control/adaptation/team-moves.ts";
import { ensembleDocument, parseEnsembleDocument } from "#formats/ensemble.ts";
import { appliancesOf, areNumbered, replicaNames } from "#model/appliances.ts";
import type {
  Adjustment,
  ApplianceSpec,
  CpuRequest,
  Ensemble,
  StrategyAction,
  TeamAdjustment,
} from "#model/ensemble.ts";
import { bestEffort } from "#model/service-classes.ts";
import type { DiskLimits } from "#model/vm.ts";

/** What an appliance is to have from now on; absent: what it has. */
export type Size = {
  readonly cpu?: CpuRequest;
  readonly memoryBytes?: Bytes;
  /** Of a virtual machine. */
  readonly vcpus?: number;
  /** Those that are named; others stay. */
  readonly disk?: DiskLimits;
  readonly outBps?: BitsPerSecond;
  readonly inBps?: BitsPerSecond;
  /** Those that are named; others stay. */
  readonly teams?: readonly TeamAdjustment[];
};

export type Move = Extract<StrategyAction, { readonly kind: "move-cpu" | "move-bandwidth" }>;

/** First the sizes, then the moves; all of it or nothing. A name with replicas stands for each of them. */
export type ResizeRequest = {
  readonly sizes: ReadonlyMap<string, Size>;
  readonly moves: readonly Move[];
};

/** An ensemble as it would be, and whom that changes. */
export type Adjusted = {
  readonly ensemble: Ensemble;
  readonly changed: readonly ApplianceName[];
  /** For people: "streaming 24ms of 40ms → 32ms of 40ms". */
  readonly summary: string;
};

/**
 * The ensemble with other sizes. Throws `not_found` for a name it does not have, `bad_input` for what its declaration
 * does not allow, `unsatisfiable` where the giver of a move has not enough.
 */
export function resized(ensemble: Ensemble, { sizes, moves }: ResizeRequest): Adjusted {
  const draft = new SettingsDraft(ensemble);
  const sizedOf = new Map<string, MachineSize>();
  for (const [named, size] of sizes) {
    for (const name of namesOf(ensemble, named, "resize")) {
      giveSize(draft, ensemble, name, size);
      const machine = machineSize(ensemble, name, size);
      if (Object.keys(machine).length > 0) sizedOf.set(name, machine);
    }
  }
  const sized = { ...ensemble, adjustments: withSizes(draft, sizedOf) };
  const outcome = act(sized, moves);
  if (outcome.kind === "refused") {
    throw new ConsortError("unsatisfiable", `Cannot resize ${ensemble.name}: ${outcome.reason}`);
  }
  return checked(ensemble, { ...ensemble, adjustments: outcome.adjustments });
}

/** The ensemble with appliances held where they are, or let go on; no names: all of them. */
export function held(ensemble: Ensemble, kind: "suspend" | "resume", names: readonly string[]): Adjusted {
  const all =
    names.length === 0
      ? appliancesOf(ensemble).map(({ name }) => name)
      : names.flatMap((name) => namesOf(ensemble, name, kind));
  const outcome = act(
    ensemble,
    all.map((appliance) => ({ kind, appliance })),
  );
  if (outcome.kind === "refused") {
    throw new ConsortError("conflict", `Cannot ${kind} ${ensemble.name}: ${outcome.reason}`);
  }
  return checked(ensemble, { ...ensemble, adjustments: outcome.adjustments });
}

/**
 * The new declaration of an ensemble that may be there already: what runs keeps its name, though it gets replicas or is
 * the only one left, and what was adjusted of it, as far as the new file allows.
 */
export const renewed = (before: Ensemble | undefined, declared: Ensemble): Ensemble =>
  keepingAdjustments(before, keepingNames(before, declared));

/** "web" that gets a second replica goes on as "web" beside "web-2", unless its file says how they are called. */
export function keepingNames(before: Ensemble | undefined, declared: Ensemble): Ensemble {
  if (before === undefined) return declared;
  const were = new Map(before.appliances.map((spec) => [spec.name, spec]));
  const isRenamed = (spec: ApplianceSpec): boolean => {
    const was = were.get(spec.name);
    return spec.numbered === undefined && was !== undefined && areNumbered(was) !== areNumbered(spec);
  };
  if (!declared.appliances.some(isRenamed)) return declared;
  const appliances = declared.appliances.map((spec) =>
    isRenamed(spec) ? { ...spec, numbered: !areNumbered(spec) } : spec,
  );
  const kept = { ...declared, appliances };
  // A file whose monitors or strategies name them means the names that it gives them.
  return parseEnsembleDocument(ensembleDocument(kept), "request").ok ? kept : declared;
}

/**
 * The new declaration of an ensemble with what was adjusted of it before. A file that says itself what is adjusted is
 * taken at its word. Otherwise an adjustment stays, field by field, where the file declares what it declared before.
 */
export function keepingAdjustments(before: Ensemble | undefined, declared: Ensemble): Ensemble {
  if (declared.adjustments !== undefined || before?.adjustments === undefined) return declared;
  const was = declaredSpecs(before);
  const is = declaredSpecs(declared);
  const kept = before.adjustments.flatMap((adjustment): Adjustment[] => {
    const { appliance, ...fields } = adjustment;
    const [old, now] = [was.get(appliance), is.get(appliance)];
    if (old === undefined || now === undefined) return [];
    const lasting = Object.entries(fields).filter(
      ([field]) => JSON.stringify(fieldOf(old, field)) === JSON.stringify(fieldOf(now, field)),
    );
    return lasting.length === 0 ? [] : [{ appliance, ...Object.fromEntries(lasting) }];
  });
  return kept.length === 0 ? declared : { ...declared, adjustments: kept };
}

/** With what was adjusted of these appliances before, and of all others now. */
export function readjusted(now: Ensemble, before: Ensemble, names: readonly string[]): Ensemble {
  const { adjustments = [], ...rest } = now;
  const meant = new Set(names);
  const after = [
    ...adjustments.filter(({ appliance }) => !meant.has(appliance)),
    ...(before.adjustments ?? []).filter(({ appliance }) => meant.has(appliance)),
  ];
  return after.length === 0 && before.adjustments === undefined ? rest : { ...rest, adjustments: after };
}

const fieldOf = (spec: ApplianceSpec, field: string): unknown =>
  field === "vcpus" || field === "disk" ? spec.vm?.[field] : spec[field as keyof ApplianceSpec];

/** Of every single appliance, without what was adjusted. */
function declaredSpecs({ adjustments: _adjustments, ...declared }: Ensemble): Map<string, ApplianceSpec> {
  return new Map(appliancesOf(declared).map(({ name, spec }) => [name, spec]));
}

/** The single appliances a name stands for. */
function namesOf(ensemble: Ensemble, named: string, verb: string): string[] {
  const group = ensemble.appliances.find((spec) => spec.name === named);
  if (group !== undefined) return replicaNames(group);
  const known = appliancesOf(ensemble).map(({ name }): string => name);
  if (known.includes(named)) return [named];
  const some = ensemble.appliances.map((spec) => spec.name).slice(0, 5);
  throw new ConsortError(
    "not_found",
    `Cannot ${verb} ${ensemble.name}/${named}: ${ensemble.name} has no such appliance, it has ${some.join(", ")}`,
  );
}

function giveSize(draft: SettingsDraft, ensemble: Ensemble, name: string, size: Size): void {
  const now = draft.now(name);
  const limitless = (what: string): ConsortError =>
    new ConsortError(
      "bad_input",
      `Cannot resize ${ensemble.name}/${name}: it is declared without ${what}, and to be limited it must be restarted; declare ${what} in its file and bring that up`,
    );
  if (size.cpu !== undefined && now.cpu === undefined) throw limitless("cpu");
  if (size.memoryBytes !== undefined && draft.spec(name)?.memoryBytes === undefined)
    throw limitless("memory");
  const { traffic = { serviceClass: bestEffort.name } } = now;
  const { outBps, inBps } = size;
  const wider = (ceiling: BitsPerSecond | undefined, rate: BitsPerSecond): BitsPerSecond | undefined =>
    ceiling === undefined || ceiling >= rate ? ceiling : rate;
  const ceilings = {
    ...(outBps === undefined ? {} : optional("outCeilingBps", wider(traffic.outCeilingBps, outBps))),
    ...(inBps === undefined ? {} : optional("inCeilingBps", wider(traffic.inCeilingBps, inBps))),
  };
  const rates = { ...optional("outBps", outBps), ...optional("inBps", inBps) };
  draft.change(name, {
    ...now,
    ...optional("cpu", size.cpu),
    ...(outBps === undefined && inBps === undefined
      ? {}
      : { traffic: { ...traffic, ...rates, ...ceilings } }),
  });
  if (size.teams !== undefined) draft.changeTeams(name, size.teams);
}

const optional = <Key extends string, T>(key: Key, value: T | undefined): { [K in Key]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [K in Key]: T });

/** What no strategy changes. */
type MachineSize = Pick<Size, "memoryBytes" | "vcpus" | "disk">;

function machineSize(ensemble: Ensemble, name: string, { memoryBytes, vcpus, disk }: Size): MachineSize {
  const now = appliancesOf(ensemble).find((one) => one.name === name)?.spec.vm;
  return {
    ...optional("memoryBytes", memoryBytes),
    ...optional("vcpus", vcpus),
    ...optional("disk", disk === undefined ? undefined : { ...now?.disk, ...disk }),
  };
}

function withSizes(draft: SettingsDraft, sizes: ReadonlyMap<string, MachineSize>): Adjustment[] {
  const rest = new Map(sizes);
  const adjustments = draft.adjustments().map((adjustment): Adjustment => {
    const size = rest.get(adjustment.appliance);
    rest.delete(adjustment.appliance);
    return { ...adjustment, ...size };
  });
  const all = [...adjustments, ...[...rest].map(([appliance, size]) => ({ appliance, ...size }))];
  return all.flatMap((one) => notDeclared(one, draft.spec(one.appliance)));
}

/** Without what its spec says anyway: nobody reading the file could tell why it stands there. */
function notDeclared({ appliance, ...fields }: Adjustment, spec: ApplianceSpec | undefined): Adjustment[] {
  const others = Object.entries(fields).filter(
    ([field, value]) => spec === undefined || !same(value, fieldOf(spec, field)),
  );
  return others.length === 0 ? [] : [{ appliance, ...Object.fromEntries(others) }];
}

/** Throws `bad_input` where no file could say this. */
function checked(before: Ensemble, after: Ensemble): Adjusted {
  const parsed = parseEnsembleDocument(ensembleDocument(after), "request");
  if (!parsed.ok) {
    const [{ path, message, suggestion } = { path: "", message: "", suggestion: undefined }] =
      parsed.problems;
    const place = path.replace(/^adjustments\./, "");
    const remedy = suggestion === undefined ? "" : `; ${suggestion}`;
    throw new ConsortError("bad_input", `Cannot resize ${before.name}: ${place}: ${message}${remedy}`);
  }
  const old = new Map(appliancesOf(before).map((one) => [one.id, one.spec]));
  const differing = appliancesOf(after).flatMap(({ id, name, spec }) => {
    const words = changesOf(old.get(id) ?? spec, spec);
    return words.length === 0 ? [] : [{ name: applianceName(name), words: `${name} ${words.join(", ")}` }];
  });
  return {
    ensemble: after,
    changed: differing.map(({ name }) => name),
    summary: differing.map(({ words }) => words).join("; "),
  };
}

function changesOf(before: ApplianceSpec, after: ApplianceSpec): string[] {
  const pairs = [before, after].map(({ cpu, memoryBytes, vm, traffic, suspended }) => [
    cpu === undefined ? "" : formatRequest(cpu),
    memoryBytes === undefined ? "" : formatBytes(memoryBytes),
    vm === undefined ? "" : `${vm.vcpus} vcpus`,
    vm?.disk === undefined ? "" : `disks ${diskText(vm.disk)}`,
    traffic?.outBps === undefined ? "" : `${formatBandwidth(traffic.outBps)} out`,
    traffic?.inBps === undefined ? "" : `${formatBandwidth(traffic.inBps)} in`,
    suspended === true ? "suspended" : "running",
  ]);
  const [was = [], is = []] = pairs;
  return [
    ...was.flatMap((text, at) => (text === is[at] ? [] : [`${text || "nothing"} → ${is[at] || "nothing"}`])),
    ...teamChanges(before.teams ?? [], after.teams ?? []),
  ];
}

/** "read 10MiB/s, write 5MiB/s, 500 reads/s" */
function diskText({
  readBytesPerSecond,
  writeBytesPerSecond,
  readsPerSecond,
  writesPerSecond,
}: DiskLimits): string {
  return [
    ...(readBytesPerSecond === undefined ? [] : [`read ${formatBytes(readBytesPerSecond)}/s`]),
    ...(writeBytesPerSecond === undefined ? [] : [`write ${formatBytes(writeBytesPerSecond)}/s`]),
    ...(readsPerSecond === undefined ? [] : [`${readsPerSecond} reads/s`]),
    ...(writesPerSecond === undefined ? [] : [`${writesPerSecond} writes/s`]),
  ].join(", ");
}
