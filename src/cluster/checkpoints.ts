import type { ApplianceId, HostId } from "#base/ids.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { blobsOfAll, chainOf } from "#model/checkpoint-chain.ts";
import type { Digest } from "#model/image.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { CheckpointPlan, VmPlan } from "#protocol/host-plan.ts";
import type { CheckpointReport, CheckpointRequestReport, HostReport } from "#protocol/host-report.ts";

/**
 * Complete checkpoints of one appliance, as its host told last, the newest last. A checkpoint counts once it is in
 * here: its host has told of it after all copies were made, and this is durable.
 */
export type CheckpointsRecord = {
  readonly appliance: ApplianceId;
  readonly taken: readonly CheckpointReport[];
};

/**
 *     taking ──(all of a group are paused: told to go on)──(all are taken)──► done
 *        └──(one failed, or is not there in time)──► failed
 */
export type CheckpointRequest = {
  readonly id: string;
  readonly ensemble: string;
  readonly appliances: readonly ApplianceId[];
  /** They are to be of one moment. */
  readonly group?: string;
  readonly state: "taking" | "done" | "failed";
  readonly goOn?: true;
  /** They do not go on after it; see parking.ts. */
  readonly stays?: true;
  readonly requestedAtMs: number;
  readonly message?: string;
};

/** What an appliance begins from at its next place. */
export type RestoreRecord = NonNullable<VmPlan["restore"]> & {
  /** Counts restores that a user asked for, or that another one was refused before: each makes it anew. */
  readonly again: number;
  /** What it could not go on from; see refused-restores.ts. */
  readonly refused?: readonly string[];
};

export type CheckpointWorld = {
  readonly nowMs: number;
  readonly placement: (id: ApplianceId) => HostId | undefined;
  readonly report: (host: HostId) => HostReport | undefined;
  readonly known: (id: ApplianceId) => CheckpointsRecord | undefined;
};

/** What a host tells anew of the appliances that are placed on it. An appliance it tells nothing of keeps what it has. */
export function newsOfCheckpoints(host: HostId, world: CheckpointWorld): readonly CheckpointsRecord[] {
  const told = Map.groupBy(world.report(host)?.checkpoints ?? [], ({ checkpoint }) => checkpoint.appliance);
  return [...told].flatMap(([appliance, taken]) => {
    if (world.placement(appliance) !== host) return [];
    const before = world.known(appliance)?.taken ?? [];
    return textOf(before) === textOf(taken) ? [] : [{ appliance, taken }];
  });
}

/** All that can change of a checkpoint once it was told: a fold has other parts, a lost copy other hosts. */
const textOf = (taken: readonly CheckpointReport[]): string =>
  taken
    .map(({ checkpoint, copies }) =>
      [checkpoint.id, checkpoint.after ?? "", checkpoint.memory?.digest ?? "", ...copies].join(" "),
    )
    .join("\n");

/** Cut off by a manager's or a host's death, it is over after this long. */
const requestMsMax = 120_000;

/** What becomes of a request now; undefined: nothing. */
export function nextOfRequest(
  request: CheckpointRequest,
  world: CheckpointWorld,
): CheckpointRequest | undefined {
  if (request.state !== "taking") return undefined;
  const told = request.appliances.map((appliance) => toldOf(request.id, appliance, world));
  const failed = told.find((one) => one?.state === "failed");
  if (failed !== undefined) return over(request, "failed", failed.message ?? `${failed.appliance} failed`);
  const taken = told.every((one) => one?.state === "taken") ? allTaken(request, world) : undefined;
  if (taken !== undefined) return taken;
  if (world.nowMs - request.requestedAtMs > requestMsMax) {
    const missing = request.appliances.filter((_, at) => told[at]?.state !== "taken");
    // Where there is a policy, newer ones take its place.
    if (missing.length === 0) return over(request, "failed", "some were not kept until the last was taken");
    return over(request, "failed", `${missing.join(", ")}: not taken in time`);
  }
  const isHeld = told.every((one) => one?.state === "held");
  return request.group !== undefined && request.goOn !== true && isHeld
    ? { ...request, goOn: true }
    : undefined;
}

/** How far a host is that has it. */
export function toldOf(
  id: string,
  appliance: ApplianceId,
  { placement, report }: CheckpointWorld,
): CheckpointRequestReport | undefined {
  const host = placement(appliance);
  const all = host === undefined ? [] : (report(host)?.checkpointRequests ?? []);
  return all.find((one) => one.id === id && one.appliance === appliance);
}

/** All have told that they are; of a group each must have been paused until the others were, too. */
function allTaken(request: CheckpointRequest, world: CheckpointWorld): CheckpointRequest | undefined {
  const mine = request.appliances.map((appliance) =>
    world.known(appliance)?.taken.find(({ checkpoint }) => checkpoint.id === request.id),
  );
  if (mine.includes(undefined)) return undefined;
  const isOne = mine.every((one) => one?.checkpoint.group === request.group);
  if (isOne) return over(request, "done");
  return over(request, "failed", "they could not be held at the same moment for long enough");
}

function over(request: CheckpointRequest, state: "done" | "failed", message?: string): CheckpointRequest {
  return { ...request, state, ...(message === undefined ? {} : { message }) };
}

/** What hosts are to take now, beside what policies say. Requests that are over are asked of nobody. */
export function checkpointPlans(
  requests: Iterable<CheckpointRequest>,
  placement: CheckpointWorld["placement"],
): ReadonlyMap<HostId, readonly CheckpointPlan[]> {
  const plans = new Map<HostId, CheckpointPlan[]>();
  for (const { id, group, goOn, stays, appliances, state } of requests) {
    if (state !== "taking") continue;
    const byHost = Map.groupBy(appliances, placement);
    for (const [host, here] of byHost) {
      if (host === undefined) continue;
      const plan: CheckpointPlan = {
        id,
        appliances: here,
        ...(group === undefined ? {} : { group }),
        ...(byHost.size === 1 ? { isWhole: true } : {}),
        ...(goOn === undefined ? {} : { goOn }),
        ...(stays === undefined ? {} : { stays }),
      };
      plans.set(host, [...(plans.get(host) ?? []), plan]);
    }
  }
  return plans;
}

/** The newest one, or the one of this name, of which all can be had, and that was not refused. */
export function restorable(
  record: CheckpointsRecord | undefined,
  isThere: (host: HostId) => boolean,
  id?: string,
  refused: readonly string[] = [],
): Omit<RestoreRecord, "again"> | undefined {
  const all = record?.taken ?? [];
  const known = all.map(({ checkpoint }) => checkpoint);
  for (const { checkpoint, copies, store } of all.toReversed()) {
    if ((id !== undefined && checkpoint.id !== id) || refused.includes(checkpoint.id)) continue;
    const checkpoints = chainOf(checkpoint.id, known);
    // Whoever has the newest has all that it needs.
    const hosts = copies.filter(isThere);
    if (checkpoints === undefined || (hosts.length === 0 && store === undefined)) continue;
    return { checkpoints, copies: { hosts, ...(store === undefined ? {} : { store }) } };
  }
  return undefined;
}

/** Those that are made on another host begin from their newest checkpoint, if there is one. */
export function withRestores(
  before: EnsembleRecord,
  after: EnsembleRecord,
  find: (id: ApplianceId, refused: readonly string[]) => Omit<RestoreRecord, "again"> | undefined,
): EnsembleRecord {
  const restores: Record<ApplianceId, RestoreRecord> = { ...after.restores };
  for (const { id, spec } of appliancesOf(after.ensemble)) {
    const moves = after.placements[id] !== before.placements[id] && after.placements[id] !== undefined;
    if (spec.kind !== "vm" || !moves || after.moves?.[id] !== undefined) continue;
    const { again = 0, refused = [] } = before.restores?.[id] ?? {};
    const found = find(id, refused);
    if (found !== undefined) restores[id] = { ...found, again, ...(refused.length === 0 ? {} : { refused }) };
  }
  return Object.keys(restores).length === 0 ? after : { ...after, restores };
}

/** What hosts are to hold for checkpoints, and from whom they may have to fetch. */
export type CheckpointContent = { readonly keep: readonly Digest[]; readonly peers: readonly HostId[] };

export function checkpointContent(
  records: Iterable<CheckpointsRecord>,
  ensembles: readonly EnsembleRecord[],
): ReadonlyMap<HostId, CheckpointContent> {
  const keep = new Map<HostId, Set<Digest>>();
  const peers = new Map<HostId, Set<HostId>>();
  const add = <Item>(map: Map<HostId, Set<Item>>, host: HostId, items: Iterable<Item>): void => {
    map.set(host, new Set([...(map.get(host) ?? []), ...items]));
  };
  for (const { taken: all } of records) {
    const known = all.map(({ checkpoint }) => checkpoint);
    for (const { checkpoint, copies } of all) {
      const digests = blobsOfAll(chainOf(checkpoint.id, known) ?? []).map(({ digest }) => digest);
      for (const host of copies) {
        add(keep, host, digests);
        add(peers, host, copies);
      }
    }
  }
  for (const { restores = {}, placements } of ensembles) {
    for (const [id, { copies, checkpoints }] of Object.entries(restores) as [ApplianceId, RestoreRecord][]) {
      const host = placements[id];
      if (host === undefined) continue;
      add(peers, host, copies.hosts);
      const digests = blobsOfAll(checkpoints).map(({ digest }) => digest);
      for (const holder of [host, ...copies.hosts]) add(keep, holder, digests);
    }
  }
  return new Map(
    [...new Set([...keep.keys(), ...peers.keys()])].map((host) => [
      host,
      {
        keep: [...(keep.get(host) ?? [])].sort(),
        peers: [...(peers.get(host) ?? [])].filter((one) => one !== host).sort(),
      },
    ]),
  );
}
