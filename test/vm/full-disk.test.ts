import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock, signal } from "../task/host.ts";
import { subprocess } from "./guest-machine.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";
import type { MachineHost } from "./machine-host.ts";
import { begin, moveOver, movingHost, run, until } from "./moving-host.ts";

/** Of a file system so large, a twentieth is the reserve. Half of that is more than all that one guest may write. */
const totalMib = 16_384;
const reserveMib = totalMib / 20;
const homeMib = 380;
const aFewMib = 8;
const heldMessage =
  "Its guest is held until there is room again: its host's disk is nearly full, and it fills it";

/** A file system of its own, with little on it; nothing of it is left when this is disposed. */
async function smallDisk(): Promise<{ readonly place: string } & AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  const place = mkdtempSync("/var/lib/consort-test-room-");
  undo.defer(() => rmSync(place, { recursive: true }));
  const whole = `${place}.img`;
  undo.defer(() => rmSync(whole, { force: true }));
  await subprocess.check("truncate", ["-s", `${totalMib}M`, whole], signal);
  await subprocess.check("mkfs.ext4", ["-q", "-m", "0", whole], signal);
  await subprocess.check("mount", ["-o", "loop", whole, place], signal);
  undo.defer(async () => void (await subprocess.check("umount", ["-l", place], signal)));
  const made = undo.move();
  return { place, [Symbol.asyncDispose]: () => made.disposeAsync() };
}

/** With its files on the host's file system, as a host's images are. */
function guestOn(place: string, guest: BuiltGuest): BuiltGuest {
  const files = [...guest.files].map(([digest]) => [digest, join(place, digest)] as const);
  for (const [digest, file] of files) copyFileSync(guest.files.get(digest) ?? "", file);
  return { ...guest, files: new Map(files) };
}

/** A host whose state is on that file system. */
async function hostOn(guest: BuiltGuest, place: string): Promise<MachineHost> {
  const stateDir = join(place, "host");
  const directory = join(stateDir, "spool");
  mkdirSync(directory, { recursive: true });
  const make = layerMaker(subprocess);
  const layers = spooledLayers({ directory, make, clock, random: systemRandom(), log: silentLog });
  await layers.recover(signal);
  const blobs = { has: () => true, path: (digest: string) => guest.files.get(digest as never) ?? digest };
  const storage = machineStorage({ layers, blobs });
  const host = await machineHost(guest, { storage, log: silentLog }, { stateDir });
  const dispose = host[Symbol.asyncDispose].bind(host);
  host[Symbol.asyncDispose] = async () => {
    await layers.close();
    await dispose();
  };
  return host;
}

function withHome(guest: BuiltGuest): AppliancePlan {
  const plan = machinePlanOf(guest);
  return { ...plan, vm: { ...plan.vm!, homeBytes: mebibytes(homeMib) } };
}

/** Takes all but that of the file system. */
async function leave(place: string, ballast: string, mib: number): Promise<void> {
  const { bavail, bsize } = statfsSync(place);
  const all = Math.floor((bavail * bsize) / mebibytes(1));
  await subprocess.check("fallocate", ["-l", `${all - mib}M`, ballast], signal);
}

const seen = ({ driver }: MachineHost, { id }: AppliancePlan): ApplianceObservation | undefined =>
  driver.observe().find((one) => one.id === id);

async function statusOf({ driver }: MachineHost, { id }: AppliancePlan): Promise<unknown> {
  const answer = await driver.running(id)?.qmp.execute("query-status", {}, signal);
  return (answer as { status?: unknown } | undefined)?.status;
}

/** What its guest has written takes that many bytes of its host's disk. */
function taken({ driver }: MachineHost, { id }: AppliancePlan): number {
  const disks = driver.running(id)?.disks ?? [];
  return disks.reduce((sum, { file }) => sum + statSync(file).blocks * 512, 0);
}

async function grows(host: MachineHost, plan: AppliancePlan): Promise<void> {
  const from = taken(host, plan);
  while (taken(host, plan) < from + mebibytes(aFewMib)) await clock.sleep(millis(50), signal);
}

/** For ever, but not so fast that all of its disk is written before the last step. */
const writes =
  "(while :; do dd if=/dev/zero bs=1024k count=1 >> /home/x; sync; usleep 100000; done) 2> /dev/null";
const overwrites =
  "dd if=/dev/urandom of=/home/y bs=64k count=1 conv=notrunc,fsync 2> /dev/null && echo done";

test("a guest that fills its host's disk is held until there is room, whoever its manager is; others write on", async () => {
  await using disk = await smallDisk();
  const guest = guestOn(disk.place, await tinyGuest());
  await using host = await hostOn(guest, disk.place);
  const filling = withHome(guest);
  const other = { ...filling, id: applianceId(ensembleName("shop"), applianceName("other")) };
  await begin(host, filling);
  await begin(host, other);

  const ballast = join(disk.place, "ballast");
  await leave(disk.place, ballast, reserveMib + aFewMib);
  await run(host, filling, `${writes} > /dev/null &`);
  await whenSeen(host.driver, filling.id, ({ message }) => message === heldMessage);
  assert.equal(await statusOf(host, filling), "paused");
  const before = taken(host, filling);

  assert.equal(await run(host, other, overwrites), "done");
  assert.deepEqual([seen(host, other)?.state, seen(host, other)?.message], ["running", undefined]);
  const third = { ...other, id: applianceId(ensembleName("shop"), applianceName("third")) };
  await host.driver.create(third, new Map(), signal);
  await host.driver.destroy(third.id, signal);

  await host.reopen();
  await whenSeen(host.driver, filling.id, ({ message }) => message === heldMessage);
  assert.equal(await statusOf(host, filling), "paused");
  assert.equal(await run(host, other, overwrites), "done");
  assert.equal(taken(host, filling), before);

  // Held by its user, too, it goes on when both let it.
  await host.driver.suspend(filling.id, signal);
  rmSync(ballast);
  assert.equal(await run(host, other, overwrites), "done");
  assert.equal(seen(host, filling)?.state, "suspended");
  await host.driver.resume(filling.id, signal);
  await whenSeen(
    host.driver,
    filling.id,
    ({ message, vm }) => message === undefined && vm?.agent === "answers",
  );
  await grows(host, filling);

  // Where QEMU was quicker than who looks, it has held the guest itself.
  await leave(disk.place, ballast, 1);
  await whenSeen(host.driver, filling.id, ({ message }) => message?.startsWith("Its guest is held") === true);
  rmSync(ballast);
  await whenSeen(
    host.driver,
    filling.id,
    ({ message, vm }) => message === undefined && vm?.agent === "answers",
  );
});

test("a held guest moves to a host with room and goes on there; it is not resized, and ends when it is told to", async () => {
  const guest = await tinyGuest();
  const [roomOfA, roomOfB] = [10_000, 10_000].map((mib) => ({ mib }));
  const room = (of: { mib: number } | undefined) => () => ({
    freeBytes: mebibytes(of?.mib ?? 0),
    totalBytes: mebibytes(10_000),
  });
  await using a = await movingHost(guest, undefined, { room: room(roomOfA) });
  await using b = await movingHost(guest, undefined, { room: room(roomOfB) });
  const plan = withHome(guest);
  await begin(a, plan);
  roomOfA!.mib = 0;
  await run(a, plan, `${writes} > /dev/null &`);
  await whenSeen(a.driver, plan.id, ({ message }) => message === heldMessage);
  const smaller = new Map([[plan.id, { memoryBytes: mebibytes(96) }]]);
  await assert.rejects(a.driver.adapt(smaller, signal), /its guest is held, it has to run/);

  const there = await moveOver(a, b, plan, "m1");
  await whenSeen(b.driver, plan.id, ({ message, vm }) => message === undefined && vm?.agent === "answers");
  await until(b, there, ["local"]);
  await a.driver.destroy(plan.id, signal);

  roomOfB!.mib = 0;
  await whenSeen(b.driver, plan.id, ({ message }) => message === heldMessage);
  await b.driver.stop(plan.id, millis(600_000), signal);
  assert.equal(seen(b, plan)?.state, "stopped");
});
