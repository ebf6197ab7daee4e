import { ConsortError } from "#base/errors.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import type { ClusterContext } from "#cluster/context.ts";
import { mayRunUnleasedOn } from "#cluster/leaving.ts";
import type { Leaving } from "#cluster/leaving.ts";
import { keys } from "#cluster/records.ts";
import { appliancesOn } from "#cluster/reconcilers/drains.ts";
import { moveOf, withoutMove, withoutPlace } from "#cluster/moves.ts";
import type { EnsembleRecord, HostStanding } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { Operation } from "#protocol/http/operation.ts";

/** gone: its operator vouches that its machine is off and stays so. */
export type ForgetRequest = { readonly gone?: boolean | undefined };

/** What it is cordoned or open for stays known, for a drain that is cancelled. */
function drainingFrom(standing: HostStanding): HostStanding {
  const { fenced, scheduling } = standing;
  return { fenced, scheduling: "draining", ...(scheduling === "cordoned" ? { staysCordoned: true } : {}) };
}

/** Throws `bad_input` for a gateway: it runs no appliances, and its tunnels cannot be moved. */
function checkRunsAppliances({ state }: ClusterContext, verb: string, host: HostId): void {
  const record = state.hosts().get(host);
  if (record?.role !== "gateway") return;
  throw new ConsortError(
    "bad_input",
    `Cannot ${verb} ${host}: it is the gateway of site ${record.site}, runs no appliances, and its tunnels have no other place`,
  );
}

/** Nothing new is placed on it. */
export async function cordonHost(context: ClusterContext, host: HostId, signal: AbortSignal): Promise<void> {
  checkRunsAppliances(context, "cordon", host);
  await context.operations.cordonHost(host, signal);
  context.events.append("host.cordoned", `host/${host}`, `${host} gets nothing new`);
}

/** It takes appliances again; a drain that runs ends as cancelled. */
export async function uncordonHost(
  context: ClusterContext,
  host: HostId,
  signal: AbortSignal,
): Promise<void> {
  await context.operations.openHost(host, signal);
  context.events.append("host.uncordoned", `host/${host}`, `${host} takes appliances again`);
  context.wakeRecovery.now();
}

/** What runs there moves away; see reconcilers/recovery.ts. */
export async function drainHost(
  context: ClusterContext,
  host: HostId,
  signal: AbortSignal,
): Promise<Operation> {
  checkRunsAppliances(context, "drain", host);
  const { state, seen, operations, events } = context;
  const operation = await operations.acceptDrain(
    host,
    () => {
      if (!seen.isThere(host)) {
        throw new ConsortError(
          "conflict",
          `Cannot drain ${host}: it is lost, so nothing can be stopped there; wait for it, or give it up: consort host forget ${host}`,
        );
      }
      return {
        standing: drainingFrom(state.standing(host)),
        appliances: appliancesOn(host, state.ensembles(), context.fates().hasEnded).length,
      };
    },
    signal,
  );
  events.append("host.draining", `host/${host}`, `what runs on ${host} moves to other hosts`);
  context.wakeRecovery.now();
  context.wake.now();
  return operation;
}

/**
 * Gives up a lost host for good. What obeyed its lease runs there no more; of what obeyed none only its operator can say
 * that (`gone`: its machine is off, and stays so). Nobody waits for it then; should it return all the same, it is fenced
 * until it is clean. Throws `conflict` while it is heard of, and while anything may still run there.
 */
export async function forgetHost(
  context: ClusterContext,
  host: HostId,
  { gone = false }: ForgetRequest,
  signal: AbortSignal,
): Promise<void> {
  const { state, seen, events, operations, leases } = context;
  await operations.forgetHost(
    host,
    () => {
      if (!seen.isLost(host)) {
        throw new ConsortError(
          "conflict",
          `Cannot forget ${host}: it is there, or was a moment ago; drain it and switch it off first`,
        );
      }
      if (!gone) checkNothingMayRun(context, host);
      leases.hold([host]);
      return state.ensembles().flatMap((record) => {
        const left = withoutHost(record, host, (id) => runsNoMore(context, record, id, host));
        return left === record ? [] : [{ put: keys.ensemble(record.ensemble.name), value: left }];
      });
    },
    signal,
  );
  leases.release([host]);
  events.append("host.forgotten", `host/${host}`, `${host} is given up`);
  context.wakeRecovery.now();
  context.wake.now();
}

const namedAtMost = 3;

function checkNothingMayRun({ state, fates }: ClusterContext, host: HostId): void {
  const ids = mayRunUnleasedOn(host, state.whereabouts().unleased(), fates().hasEnded);
  if (ids.length === 0) return;
  const more = ids.length > namedAtMost ? ` and ${ids.length - namedAtMost} more` : "";
  throw new ConsortError(
    "conflict",
    `Cannot forget ${host}: ${ids.slice(0, namedAtMost).join(", ")}${more} may run there still, as what stays in place obeys no lease; if its machine is off for good, say so: consort host forget ${host} --gone`,
  );
}

/** It has ended for good, or may have: what is never restarted is not run a second time either. */
function runsNoMore(context: ClusterContext, record: EnsembleRecord, id: ApplianceId, host: HostId): boolean {
  const spec = appliancesOf(record.ensemble).find((one) => one.id === id)?.spec;
  return spec?.restart.when === "never" || context.fates().hasEnded(id, host);
}

/** The same object where it has nothing to do with the host. */
export function withoutHost(
  before: EnsembleRecord,
  host: HostId,
  isOver: (id: ApplianceId) => boolean,
): EnsembleRecord {
  const record = withoutDisksOn(before, host);
  const { placements, leaving, unleased } = record;
  const isOn = (hosts: HostId | readonly HostId[]): boolean => [hosts].flat().includes(host);
  if (![placements, leaving, unleased].some((where) => Object.values(where).some(isOn))) return record;
  const elsewhere = Object.entries<HostId>(placements).filter(([, where]) => where !== host);
  const here = (Object.keys(placements) as ApplianceId[]).filter((id) => placements[id] === host);
  const left = new Set<string>(here);
  return {
    ...record,
    placements: Object.fromEntries(elsewhere) as EnsembleRecord["placements"],
    paths: record.paths.filter(({ link }) => !left.has(link.from) && !left.has(link.to)),
    leaving: without(leaving, host),
    unleased: without(unleased, host),
    over: [...(record.over ?? []), ...here.filter(isOver)],
  };
}

/** What went on elsewhere with its disks still there is to begin anew. */
function withoutDisksOn(record: EnsembleRecord, host: HostId): EnsembleRecord {
  const ids = Object.keys(record.moves ?? {}) as ApplianceId[];
  return ids
    .filter((id) => {
      const move = moveOf(record, id);
      return move?.state === "sent" && move.from === host;
    })
    .reduce((after, id) => withoutPlace(withoutMove(after, id), id), record);
}

function without(leaving: Leaving, host: HostId): Leaving {
  const entries = Object.entries<readonly HostId[]>(leaving)
    .map(([id, hosts]) => [id, hosts.filter((one) => one !== host)] as const)
    .filter(([, hosts]) => hosts.length > 0);
  return Object.fromEntries(entries) as Leaving;
}
