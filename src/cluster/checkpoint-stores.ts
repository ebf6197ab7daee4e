import type { ApplianceId, HostId } from "#base/ids.ts";
import type { CheckpointsRecord } from "#cluster/checkpoints.ts";
import { rankedHosts } from "#cluster/images.ts";
import { placesOf } from "#cluster/moves.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { appliancesOf } from "#model/appliances.ts";
import { keptInPlace } from "#model/checkpoint-chain.ts";
import type { StorePlan } from "#protocol/host-plan.ts";
import type { StoreReport } from "#protocol/host-report.ts";

/**
 * A place in a store outside the cloud where one host keeps checkpoints of one appliance.
 *
 *     open ──(the appliance is not there any more, and nobody can go on from what is in it)──► emptying ──► forgotten
 *
 * It is on record before its host is told of it, and until all in it is removed: nothing is ever left there that nobody
 * knows of. Its name is drawn by chance and never used again, and one host alone writes there, so whatever is in it and
 * on no list may go: it is of no other ensemble, of no later one of the same name, and of no other cloud.
 */
export type StoreRecord = {
  readonly id: string;
  readonly appliance: ApplianceId;
  readonly host: HostId;
  /** As the policy calls it. */
  readonly store: string;
  readonly credentials?: string;
  /** `by`: who removes what is there. Absent: it is open. */
  readonly emptying?: { readonly by: HostId; readonly sinceMs: number };
};

export const placeOf = ({ store, id }: StoreRecord): string => `${store.replace(/\/+$/, "")}/${id}`;

export type StoresWorld = {
  readonly nowMs: number;
  readonly newId: () => string;
  readonly known: (id: ApplianceId) => CheckpointsRecord | undefined;
  readonly isThere: (host: HostId) => boolean;
  /** It may come back, and write on until it is told not to. */
  readonly isKnown: (host: HostId) => boolean;
  /** Those that can reach stores, and are there. */
  readonly able: () => readonly HostId[];
  readonly report: (host: HostId) => readonly StoreReport[];
};

export type StoresNext = {
  readonly put: readonly StoreRecord[];
  readonly forget: readonly StoreRecord[];
};

type Wanted = Pick<StoreRecord, "appliance" | "host" | "store" | "credentials">;

/** What becomes of all places now. Pure but for `newId`. */
export function nextStores(
  all: Iterable<StoreRecord>,
  ensembles: readonly EnsembleRecord[],
  world: StoresWorld,
): StoresNext {
  const put: StoreRecord[] = [];
  const forget: StoreRecord[] = [];
  const wanted = new Map(ensembles.flatMap(storesWanted).map((one) => [keyOf(one), one]));
  const restored = placesRestoredFrom(ensembles);
  for (const record of all) {
    if (record.emptying !== undefined) {
      const next = nextOfEmptying(record, record.emptying, world);
      if (next === "over") forget.push(record);
      else if (next !== record) put.push(next);
      continue;
    }
    const want = wanted.get(keyOf(record));
    wanted.delete(keyOf(record));
    if (want !== undefined) {
      if (want.credentials !== record.credentials) put.push(withCredentials(record, want.credentials));
      continue;
    }
    const place = placeOf(record);
    const isNeeded = world.known(record.appliance)?.taken.some(({ store }) => store === place) === true;
    if (isNeeded || restored.has(place)) continue;
    const by = emptierOf(record, undefined, world);
    if (by !== undefined) put.push({ ...record, emptying: { by, sinceMs: world.nowMs } });
  }
  return { put: [...put, ...[...wanted.values()].map((one) => ({ id: world.newId(), ...one }))], forget };
}

/**
 * Empty is what the host that wrote there says is empty: another one cannot know whether more is on its way. Once that
 * host is forgotten, another one's word has to do.
 */
function nextOfEmptying(
  record: StoreRecord,
  { by, sinceMs }: NonNullable<StoreRecord["emptying"]>,
  world: StoresWorld,
): StoreRecord | "over" {
  const place = placeOf(record);
  const isEmpty = world.report(by).some((one) => one.place === place && one.state === "empty");
  if (isEmpty && (by === record.host || !world.isKnown(record.host))) return "over";
  const next = emptierOf(record, by, world) ?? by;
  return next === by ? record : { ...record, emptying: { by: next, sinceMs } };
}

/** The host that wrote there, or else one that is there. */
function emptierOf(record: StoreRecord, by: HostId | undefined, world: StoresWorld): HostId | undefined {
  if (world.isKnown(record.host) && world.isThere(record.host)) return record.host;
  if (by !== undefined && by !== record.host && world.isThere(by)) return by;
  return rankedHosts(world.able(), record.id)[0];
}

/** Each ensemble's are worked out once. */
const wantedOf = new WeakMap<EnsembleRecord, readonly Wanted[]>();

/** On each host that a machine is on or comes to, a place of its own in the store that its policy names. */
function storesWanted(record: EnsembleRecord): readonly Wanted[] {
  if (record.state !== "present") return [];
  const known = wantedOf.get(record);
  if (known !== undefined) return known;
  const wanted = appliancesOf(record.ensemble).flatMap(({ id, spec }): readonly Wanted[] => {
    const { store, credentials } = spec.vm?.checkpoint ?? {};
    if (store === undefined) return [];
    const named = credentials === undefined ? {} : { credentials };
    return placesOf(record, id).map((host) => ({ appliance: id, host, store, ...named }));
  });
  wantedOf.set(record, wanted);
  return wanted;
}

const keyOf = ({ appliance, host, store }: Pick<StoreRecord, "appliance" | "host" | "store">): string =>
  JSON.stringify([appliance, host, store]);

function withCredentials(record: StoreRecord, credentials: string | undefined): StoreRecord {
  const { credentials: _before, ...rest } = record;
  return credentials === undefined ? rest : { ...rest, credentials };
}

function placesRestoredFrom(ensembles: readonly EnsembleRecord[]): ReadonlySet<string> {
  return new Set(
    ensembles.flatMap(({ restores = {}, state }) =>
      state === "present" ? Object.values(restores).flatMap(({ copies }) => copies.store ?? []) : [],
    ),
  );
}

/** What hosts are told: of the places they write to what is needed there, and which ones they are to empty. */
export function storePlans(
  all: Iterable<StoreRecord>,
  known: StoresWorld["known"],
): ReadonlyMap<HostId, readonly StorePlan[]> {
  const plans = new Map<HostId, StorePlan[]>();
  for (const record of all) {
    const { appliance, store, credentials, emptying, host } = record;
    const place = placeOf(record);
    const keep = keptInPlace(known(appliance)?.taken ?? [], place);
    const plan: StorePlan = {
      place,
      appliance,
      store,
      ...(credentials === undefined ? {} : { credentials }),
      ...(emptying === undefined ? { keep } : {}),
    };
    const whose = emptying?.by ?? host;
    plans.set(whose, [...(plans.get(whose) ?? []), plan]);
  }
  return plans;
}

/** A host may have the keys of the stores it works on. */
export const isNamedByStore = (all: Iterable<StoreRecord>, host: string, secret: string): boolean =>
  [...all].some(
    ({ credentials, emptying, host: writer }) =>
      credentials === secret && (emptying === undefined ? writer : emptying.by) === host,
  );
