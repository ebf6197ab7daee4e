import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { bytes, millis } from "#base/units.ts";
import { DiskBlobStore } from "#drivers/blob/disk-store.ts";
import { ObjectStore } from "#drivers/checkpoint/object-store.ts";
import { Speed } from "#drivers/checkpoint/speed.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { transferLimits } from "#drivers/transfer/limits.ts";
import { openTransfer } from "#drivers/transfer/transfer.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import type { CheckpointChain } from "#model/checkpoint-chain.ts";
import { partsOf } from "#model/checkpoint-chain.ts";
import { s3Store } from "./s3-store.ts";
import type { S3Store } from "./s3-store.ts";
import { cleared } from "./servers.ts";

const signal = AbortSignal.timeout(240_000);
const clock = systemClock();
const db = applianceId(ensembleName("shop"), applianceName("db"));
const [first, second] = ["s3://images/kept/1111", "s3://images/kept/2222"];

type Rig = {
  readonly server: S3Store;
  readonly blobs: DiskBlobStore;
  /** As the host that keeps this machine's checkpoints below `place` has it. */
  readonly storeAt: (place: string, blobs?: DiskBlobStore) => ObjectStore;
  readonly emptyBlobs: () => Promise<DiskBlobStore>;
};

async function rig(t: TestContext): Promise<Rig> {
  const directory = mkdtempSync(join(tmpdir(), "consort-test-places-"));
  const server = await s3Store(mkdtempSync(join(directory, "store-")));
  t.after(async () => {
    await server.close();
    cleared(directory);
  });
  const emptyBlobs = async (): Promise<DiskBlobStore> => {
    const blobs = new DiskBlobStore({
      directory: mkdtempSync(join(directory, "blobs-")),
      log: silentLog,
      reserveBytes: 0,
    });
    await blobs.recover(signal);
    return blobs;
  };
  const blobs = await emptyBlobs();
  const transfer = openTransfer({ clock, roots: [] });
  const secret = async () => server.secret;
  const storeAt = (place: string, from = blobs): ObjectStore =>
    new ObjectStore({ place, own: hostId("a1"), secret, transfer, blobs: from, clock }, new Speed());
  return { server, blobs, storeAt, emptyBlobs };
}

async function checkpoint(
  blobs: DiskBlobStore,
  id: string,
  sizeBytes: number,
  after?: string,
): Promise<Checkpoint> {
  const blob = await blobs.put(Readable.from([randomBytes(sizeBytes)]), {}, signal);
  return {
    id,
    appliance: db,
    generation: "g1",
    takenAtMs: millis(1),
    disks: [],
    memory: { ...blob, compression: "none", contentBytes: bytes(sizeBytes) },
    machine: "m",
    pauseMs: millis(1),
    ...(after === undefined ? {} : { after }),
  };
}

const nameOf = (one: Checkpoint | undefined): string =>
  one === undefined ? "" : (partsOf(one)[0]?.digest.slice("sha256:".length) ?? "");

/** What was sent to the store since the last time this was asked, by the last part of its name. */
function sentTo(server: S3Store): readonly string[] {
  return server.asked
    .splice(0)
    .filter((what) => what.startsWith("PUT"))
    .map((what) => what.split("/").at(-1) ?? "");
}

/** Asked of the store to copy: these carry no content. */
function watchCopies(server: S3Store): string[] {
  const copied: string[] = [];
  server.fault = (_what, { headers }) => {
    const source = headers["x-amz-copy-source"];
    if (typeof source === "string") copied.push(source.split("/").at(-1) ?? "");
    return false;
  };
  return copied;
}

async function assertRestorable(made: Rig, place: string, chain: CheckpointChain): Promise<void> {
  const blobs = await made.emptyBlobs();
  const copies = { hosts: [], store: place };
  await made.storeAt(place, blobs).fetch(chain, copies, () => {}, signal);
  for (const { digest } of chain.flatMap(partsOf)) assert.ok(blobs.has(digest));
}

test("a machine that came from another host has the store copy what it has of it, and sends only what is new", async (t) => {
  const made = await rig(t);
  const { server, blobs, storeAt } = made;
  const large = transferLimits.transferS3PartBytes + 1_000_000;
  const full = await checkpoint(blobs, "c1", large);
  const next = await checkpoint(blobs, "c2", 50_000, "c1");
  await storeAt(first).save([next, full], { hosts: [], places: [] }, signal);
  sentTo(server);

  const copied = watchCopies(server);
  const newest = await checkpoint(blobs, "c3", 40_000, "c2");
  const before = { hosts: [], places: [first, first, "s3://images/kept/gone"] };
  await storeAt(second).save([newest, next, full], before, signal);
  assert.deepEqual(copied.toSorted(), [nameOf(next), nameOf(full)].toSorted());
  const sent = sentTo(server).filter((name) => !copied.includes(name));
  assert.deepEqual(sent, [nameOf(newest), "c3.json"]);

  await storeAt(second).save([newest, next, full], before, signal);
  assert.deepEqual(sentTo(server), ["c3.json"]);
  await assertRestorable(made, second, [newest, next, full]);
});

test("what the store has under the right name but with other content, or will not copy, is sent", async (t) => {
  const made = await rig(t);
  const { server, blobs, storeAt } = made;
  const full = await checkpoint(blobs, "c1", 30_000);
  const next = await checkpoint(blobs, "c2", 20_000, "c1");
  await storeAt(first).save([next, full], { hosts: [], places: [] }, signal);
  // Damaged there, as nobody looked at it since.
  const other = await checkpoint(blobs, "other", 30_000);
  const transfer = openTransfer({ clock, roots: [] });
  const url = `${first}/${db}/parts/${nameOf(full)}`;
  const { digest = "" as never } = partsOf(other)[0] ?? {};
  await transfer.upload(blobs.path(digest), { url, secret: server.secret }, () => {}, signal);
  sentTo(server);

  const copied: string[] = [];
  server.fault = (what, { headers }, response) => {
    if (headers["x-amz-copy-source"] === undefined) return false;
    copied.push(what.split("/").at(-1) ?? "");
    if (!what.endsWith(nameOf(next))) return false;
    response.writeHead(403).end();
    return true;
  };
  await storeAt(second).save([next, full], { hosts: [], places: [first] }, signal);
  const both = [nameOf(next), nameOf(full)].toSorted();
  assert.deepEqual(copied.toSorted(), both);
  // Each was asked to be copied, and then sent.
  assert.deepEqual(sentTo(server).toSorted(), [...both, ...both, "c2.json"].toSorted());
  await assertRestorable(made, second, [next, full]);
});
