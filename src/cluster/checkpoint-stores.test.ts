import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { isNamedByStore, nextStores, placeOf, storePlans } from "#cluster/checkpoint-stores.ts";
import type { StoreRecord, StoresWorld } from "#cluster/checkpoint-stores.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { sampleRecord } from "#cluster/sample.ts";
import { sampleCheckpoint } from "#model/sample-vm.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { VmSpec } from "#model/vm.ts";
import type { CheckpointReport, StoreReport } from "#protocol/host-report.ts";

const store = "s3://backups/shop/";
const db = applianceId(ensembleName("shop"), applianceName("db"));
const [a1, a2, b1]: HostId[] = ["a1", "a2", "b1"].map(hostId);

function shop(host: string, policy: Partial<VmSpec["checkpoint"]> | undefined = { store }): EnsembleRecord {
  const checkpoint = { everyMs: millis(1000), copies: 1, keep: 2, ...policy };
  const vm = { software: [], checkpoint } as unknown as VmSpec;
  const ensemble = sampleEnsemble("shop", { appliances: [{ ...sampleAppliance("db"), kind: "vm", vm }] });
  return sampleRecord(ensemble, { db: host });
}

const open: StoreRecord = { id: "one", appliance: db, host: a1!, store };
const place = "s3://backups/shop/one";

const taken = (id: string, where: string, after?: string): CheckpointReport => ({
  checkpoint: sampleCheckpoint(id, after === undefined ? {} : { after }),
  copies: [],
  missing: [],
  store: where,
});

function world(change: {
  readonly known?: readonly CheckpointReport[];
  readonly there?: readonly (HostId | undefined)[];
  readonly forgotten?: readonly (HostId | undefined)[];
  readonly told?: Readonly<Record<string, StoreReport["state"]>>;
}): StoresWorld {
  const there = change.there ?? [a1, a2, b1];
  let drawn = 0;
  return {
    nowMs: 7,
    newId: () => `new-${(drawn += 1)}`,
    known: (appliance) => (change.known === undefined ? undefined : { appliance, taken: change.known }),
    isThere: (host) => there.includes(host),
    isKnown: (host) => change.forgotten?.includes(host) !== true,
    able: () => there.flatMap((host) => host ?? []),
    report: (host) => {
      const state = change.told?.[host];
      return state === undefined ? [] : [{ place, state }];
    },
  };
}

test("a machine gets a place of its own on each host that it is on, before that host is told of one", () => {
  assert.deepEqual(storePlans([], () => undefined).get(a1!), undefined);
  const { put } = nextStores([], [shop("a1", { store, credentials: "keys" })], world({}));
  assert.deepEqual(put, [{ id: "new-1", appliance: db, host: a1, store, credentials: "keys" }]);
  assert.deepEqual(nextStores(put, [shop("a1", { store, credentials: "keys" })], world({})).put, []);
  const moved = nextStores(put, [shop("a2", { store, credentials: "keys" })], world({ known: [] })).put;
  assert.deepEqual(
    moved.map(({ id, host, emptying }) => [id, host, emptying?.by]),
    [
      ["new-1", a1, a1],
      ["new-1", a2, undefined],
    ],
  );
});

test("a machine without a store, or without a host, has none", () => {
  assert.deepEqual(nextStores([], [shop("a1", {}), { ...shop("a1"), placements: {} }], world({})).put, []);
});

test("other keys for the same store are taken over by the place that is there", () => {
  const { put } = nextStores([open], [shop("a1", { store, credentials: "other" })], world({}));
  assert.deepEqual(put, [{ ...open, credentials: "other" }]);
  assert.deepEqual(nextStores(put, [shop("a1")], world({})).put, [open]);
});

test("what a checkpoint that is known, or a restore, needs is not emptied", () => {
  const none: readonly EnsembleRecord[] = [];
  assert.deepEqual(nextStores([open], none, world({ known: [taken("c1", place)] })).put, []);
  const restores = { [db]: { checkpoints: [], copies: { hosts: [], store: place }, again: 0 } };
  const restored = { ...shop("a2", {}), restores } as unknown as EnsembleRecord;
  assert.deepEqual(nextStores([open], [restored], world({})).put, []);
  const { put } = nextStores([open], none, world({ known: [taken("c1", "s3://backups/shop/two")] }));
  assert.deepEqual(put, [{ ...open, emptying: { by: a1, sinceMs: 7 } }]);
});

test("an ensemble of the same name that comes back has another place: the old one is emptied all the same", () => {
  const emptying: StoreRecord = { ...open, emptying: { by: a1!, sinceMs: 1 } };
  const { put, forget } = nextStores([emptying], [shop("a1")], world({}));
  assert.deepEqual([put.map(({ id }) => id), forget], [["new-1"], []]);
});

test("a place is forgotten when the host that wrote there tells that it is empty", () => {
  const emptying: StoreRecord = { ...open, emptying: { by: a1!, sinceMs: 1 } };
  assert.deepEqual(nextStores([emptying], [], world({ told: { a1: "failed" } })), { put: [], forget: [] });
  assert.deepEqual(nextStores([emptying], [], world({ told: { a1: "empty" } })), {
    put: [],
    forget: [emptying],
  });
});

test("another host empties it while the one that wrote there is lost; that one's word is waited for, unless it is forgotten", () => {
  const emptying: StoreRecord = { ...open, emptying: { by: a1!, sinceMs: 1 } };
  const [given] = nextStores([emptying], [], world({ there: [a2] })).put;
  assert.deepEqual(given, { ...open, emptying: { by: a2, sinceMs: 1 } });
  const told = { a2: "empty" } as const;
  assert.deepEqual(nextStores([given], [], world({ there: [a2], told })), { put: [], forget: [] });
  assert.deepEqual(nextStores([given], [], world({ told })).put, [emptying]);
  assert.deepEqual(nextStores([given], [], world({ there: [a2], told, forgotten: [a1] })).forget, [given]);
});

test("hosts are told what is needed in the places they write to, with all that it was taken after", () => {
  const known = { appliance: db, taken: [taken("c1", "s3://elsewhere"), taken("c2", place, "c1")] };
  const gone: StoreRecord = { ...open, id: "two", credentials: "keys", emptying: { by: b1!, sinceMs: 1 } };
  const plans = storePlans([open, gone], () => known);
  const keep = { records: ["c2"], parts: ["sha256:c1", "sha256:c2"] };
  assert.deepEqual(plans.get(a1!), [{ place, appliance: db, store, keep }]);
  assert.deepEqual(plans.get(b1!), [{ place: placeOf(gone), appliance: db, store, credentials: "keys" }]);
  assert.ok(isNamedByStore([gone], b1!, "keys"));
  assert.ok(!isNamedByStore([gone], a1!, "keys"));
});
