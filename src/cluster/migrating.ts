import { ConsortError } from "#base/errors.ts";
import { applianceId, applianceName } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { mappingProblem } from "#cluster/admission.ts";
import type { AdmissionFacts } from "#cluster/admission.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { moveOf, ownerOf } from "#cluster/moves.ts";
import type { Move } from "#cluster/moves.ts";
import { moveReport } from "#cluster/reconcilers/moves.ts";
import { whyParked } from "#cluster/parking.ts";
import type { Progress } from "#cluster/progress.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { MappingProblem } from "#planner/mapping.ts";

/** Appliances by their names in the ensemble, or all replicas of a declared one; no host: the best of the others. */
export type MigrateRequest = { readonly appliances: readonly string[]; readonly to?: string };

/** Why an appliance cannot be moved while it runs, worded to follow its name; undefined: it can. */
export function whyNotMovable(context: ClusterContext, id: ApplianceId): string | undefined {
  const { state, seen, moveEnds, parts } = context;
  const record = state.ensemble(id.slice(0, id.indexOf("/")));
  const spec =
    record === undefined ? undefined : appliancesOf(record.ensemble).find((one) => one.id === id)?.spec;
  if (record === undefined || spec === undefined) return "is not declared";
  if (spec.kind !== "vm") return "is no virtual machine";
  if (record.moves?.[id] !== undefined) return "is being moved already";
  if (spec.suspended === true) return "is suspended";
  const parked = whyParked(record, id);
  if (parked !== undefined) return parked;
  const host = ownerOf(record, id);
  const report = host === undefined ? undefined : seen.freshReport(host);
  const machine = report?.appliances.find((one) => one.id === id);
  if (machine?.state !== "running") return `is ${machine?.state ?? "not running"}`;
  if (report?.capabilities.includes("migrate") !== true) return `is on ${host}, which cannot move machines`;
  const end = moveEnds.get(id);
  if (end !== undefined && end.until > parts.clock.monotonic())
    return `could not be moved a moment ago: ${end.why}`;
  return undefined;
}

/** All that the request names. Throws `not_found`, and `unsupported` or `conflict` for what cannot be moved running. */
export function namedToMove(
  context: ClusterContext,
  record: EnsembleRecord,
  request: MigrateRequest,
): readonly ApplianceId[] {
  const { name } = record.ensemble;
  const all = appliancesOf(record.ensemble);
  const ids = request.appliances.flatMap((wanted) => {
    const exact = all.filter(({ id }) => id === applianceId(name, applianceName(wanted)));
    const found = exact.length > 0 ? exact : all.filter(({ spec }) => spec.name === wanted);
    if (found.length === 0) {
      const known = all.map((one) => one.name).join(", ");
      throw new ConsortError(
        "not_found",
        `Cannot migrate ${name}/${wanted}: ${name} has no such appliance, it has ${known}`,
      );
    }
    return found.map(({ id }) => id);
  });
  context.moveEnds.clear();
  const [there] = ids.filter((id) => request.to !== undefined && record.placements[id] === request.to);
  if (there !== undefined)
    throw new ConsortError("conflict", `Cannot migrate ${there}: it is on ${request.to} already`);
  for (const id of ids) {
    const why = whyNotMovable(context, id);
    if (why === undefined) continue;
    const isTask = all.find((one) => one.id === id)?.spec.kind !== "vm";
    throw new ConsortError(
      isTask ? "unsupported" : "conflict",
      `Cannot migrate ${id}: it ${why}${isTask ? "; drain its host to have it begun anew elsewhere" : ""}`,
    );
  }
  return [...new Set(ids)];
}

/** Where they can go, all else staying where it is: to that host, or to any but their own. */
export function migrationProblem(
  record: EnsembleRecord,
  ids: readonly ApplianceId[],
  to: HostId | undefined,
  facts: AdmissionFacts,
): MappingProblem {
  const problem = mappingProblem(record.ensemble, facts);
  const moving = new Set<string>(ids);
  const places = Object.entries<HostId>(record.placements) as [ApplianceId, HostId][];
  const staying = places.filter(([id]) => !moving.has(id));
  const left = places.filter(([id]) => moving.has(id)).map(([, host]) => host);
  const others = facts.topology.hosts.map(({ id }) => id).filter((id) => id !== to);
  return {
    ...problem,
    previous: new Map(staying),
    pinned: new Set(staying.map(([id]) => id)),
    absent: new Set(record.over ?? []),
    unusableHosts: new Set([...(problem.unusableHosts ?? []), ...left, ...(to === undefined ? [] : others)]),
  };
}

/** How far a migration is; done when all run where they were to go, though disks may still follow. */
export function migrateProgress(
  context: ClusterContext,
  record: EnsembleRecord,
  destinations: Readonly<Record<ApplianceId, HostId>>,
): Progress {
  const all = Object.entries<HostId>(destinations) as [ApplianceId, HostId][];
  const left: string[] = [];
  let failure: string | undefined;
  for (const [id, to] of all) {
    if (record.placements[id] !== to) {
      failure = `${id} stays where it was: ${context.moveEnds.get(id)?.why ?? "its move failed"}`;
      continue;
    }
    const move = moveOf(record, id);
    const machine = context.seen.freshReport(to)?.appliances.find((one) => one.id === id);
    const isThere = (move === undefined || move.state === "sent") && machine?.state === "running";
    if (!isThere) left.push(describe(context, id, move, to));
  }
  return {
    done: all.length - left.length - (failure === undefined ? 0 : 1),
    total: all.length,
    complete: left.length === 0 && failure === undefined,
    failed: failure !== undefined && left.length === 0,
    message: failure ?? (left.length === 0 ? "all run where they were to go" : left.join(", ")),
  };
}

function describe(context: ClusterContext, id: ApplianceId, move: Move | undefined, to: HostId): string {
  if (move === undefined) return `${id} begins on ${to}`;
  const leaving = moveReport(context, id, move, move.from);
  const waits = leaving?.message ?? moveReport(context, id, move, move.to)?.message;
  const share = leaving?.progress === undefined ? "" : ` ${Math.floor(leaving.progress * 100)}%`;
  return `${id} ${move.from} → ${to}: ${leaving?.phase ?? "preparing"}${share}${waits === undefined ? "" : `, ${waits}`}`;
}
