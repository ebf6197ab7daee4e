import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { mebibytes, millis } from "#base/units.ts";
import type { Bytes } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock } from "../task/host.ts";
import { tinyGuest } from "./machine-host.ts";
import { begin, planWithHome, run } from "./moving-host.ts";
import { goingOnFrom, introduce, restoringHost } from "./restoring-host.ts";
import type { RestoringHost } from "./restoring-host.ts";

const policy = { copies: 1, keep: 4 };
const longAgo = 1_000_000_000;
const signal = AbortSignal.timeout(800_000);

const take = (host: RestoringHost, { id, generation }: AppliancePlan, name: string): Promise<void> =>
  host.checkpoints.take({ appliance: id, id: name, generation, policy }, signal);

/** As a host manager's passes do, until that is seen; resolves with how often it could be tried. */
async function startUntil(
  { driver }: RestoringHost,
  plan: AppliancePlan,
  isSeen: (seen: ApplianceObservation) => boolean,
): Promise<ApplianceObservation> {
  for (;;) {
    const seen = driver.observe().find(({ id }) => id === plan.id);
    if (seen !== undefined && isSeen(seen)) return seen;
    await driver.start(plan.id, signal).catch((cause: unknown) => {
      if (codeOf(cause) === "internal") throw cause;
    });
    await clock.sleep(millis(20), signal);
  }
}

const isUp = ({ state, vm }: ApplianceObservation): boolean => state === "running" && vm?.agent === "answers";

test("a machine goes on at another host with its memory and its disk, and is told what time it is", async () => {
  const guest = await tinyGuest();
  await using a = await restoringHost(guest, "a");
  await using b = await restoringHost(guest, "b");
  introduce(a, b);
  const plan = planWithHome(guest);
  await begin(a, plan);
  await run(a, plan, "echo remembered > /tmp/here; echo kept > /home/here; sync");
  // As if it had been kept for years.
  await run(a, plan, `date -u -s @${longAgo}`);
  await take(a, plan, "c1");
  await a.driver.destroy(plan.id, signal);
  const there = goingOnFrom(a, "c1", plan);
  await b.driver.create(there, new Map(), signal);
  const seen = await startUntil(b, there, isUp);
  assert.deepEqual([seen.vm?.start, seen.restarts], ["restored", 0]);
  assert.equal(await run(b, plan, "cat /tmp/here /home/here"), "remembered\nkept");
  for (;;) {
    const toldS = Number(await run(b, plan, "date +%s"));
    if (toldS > longAgo + 1_000_000) break;
    await clock.sleep(millis(50), signal);
  }
  // Content that no machine is made of, and no plan names, is removed in time: it can be started again all the same.
  const isNeeded = new Set([...b.driver.content(), ...partsOf(there)]);
  for (const { digest } of b.blobs.list()) if (!isNeeded.has(digest)) await b.blobs.remove(digest, signal);
  await b.driver.stop(plan.id, millis(30_000), signal);
  await startUntil(b, there, isUp);
  assert.equal(await run(b, plan, "cat /home/here"), "kept");
});

const partsOf = ({ vm }: AppliancePlan): string[] =>
  (vm?.restore?.checkpoints ?? []).flatMap(({ disks, memory }) => [
    ...disks.map(({ content }) => content.digest),
    ...(memory === undefined ? [] : [memory.digest]),
  ]);

/** As a host manager does: again while it takes its time. */
async function resize(
  { driver }: RestoringHost,
  { id }: AppliancePlan,
  vcpus: number,
  memoryBytes: Bytes,
): Promise<void> {
  const changes = new Map([[id, { memoryBytes, vm: { vcpus } }]]);
  for (;;) {
    const [seen] = driver.observe();
    if (seen?.vm?.vcpus === vcpus && seen.memoryLimitBytes === memoryBytes) return;
    await driver.adapt(changes, signal).catch((cause: unknown) => {
      if (codeOf(cause) === "internal") throw cause;
    });
    await clock.sleep(millis(20), signal);
  }
}

/** A guest takes on what it was given in its own time. */
async function untilItUses(
  host: RestoringHost,
  plan: AppliancePlan,
  vcpus: number,
  isMemory: (kib: number) => boolean,
): Promise<void> {
  const ask = "grep -c ^processor /proc/cpuinfo; sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo";
  for (;;) {
    const [processors, kib] = (await run(host, plan, ask)).split("\n").map(Number);
    if (processors === vcpus && isMemory(kib ?? 0)) return;
    await clock.sleep(millis(50), signal);
  }
}

test("a machine that has grown goes on at another host with what it grew to, and shrinks and grows there", async () => {
  const guest = await tinyGuest();
  await using a = await restoringHost(guest, "a");
  await using b = await restoringHost(guest, "b");
  introduce(a, b);
  const [small, large] = [mebibytes(192), mebibytes(256)];
  const home = planWithHome(guest);
  const plan = {
    ...home,
    memoryBytes: small,
    vm: { ...home.vm!, vcpusMax: 2, memoryBytesMax: mebibytes(320) },
  };
  await begin(a, plan);
  const isLarge = (kib: number): boolean => kib > small / 1024;
  const isSmall = (kib: number): boolean => !isLarge(kib);
  await untilItUses(a, plan, 1, isSmall);
  await resize(a, plan, 2, large);
  await untilItUses(a, plan, 2, isLarge);
  await run(a, plan, "echo remembered > /tmp/here");
  await take(a, plan, "c1");
  await a.driver.destroy(plan.id, signal);

  const grown = { ...plan, memoryBytes: large, vm: { ...plan.vm, vcpus: 2 } };
  const there = goingOnFrom(a, "c1", grown);
  await b.driver.create(there, new Map(), signal);
  const { vm, memoryLimitBytes } = await startUntil(b, there, isUp);
  assert.deepEqual([vm?.start, vm?.vcpus, memoryLimitBytes], ["restored", 2, large]);
  await untilItUses(b, grown, 2, isLarge);
  await resize(b, grown, 1, small);
  await untilItUses(b, grown, 1, isSmall);
  await resize(b, grown, 2, large);
  await untilItUses(b, grown, 2, isLarge);
  assert.equal(await run(b, grown, "cat /tmp/here"), "remembered");
});

test("a machine that was made smaller since goes on with all it had, tells so, and shrinks when it is resized", async () => {
  const guest = await tinyGuest();
  await using a = await restoringHost(guest, "a");
  await using b = await restoringHost(guest, "b");
  introduce(a, b);
  const [small, large] = [mebibytes(128), mebibytes(256)];
  const home = planWithHome(guest);
  const plan = { ...home, memoryBytes: large, vm: { ...home.vm!, memoryBytesMax: large } };
  await begin(a, plan);
  // More than what a machine of the smaller size may take of its host.
  const fill =
    "dd if=/dev/urandom of=/tmp/one bs=1M count=1 2> /dev/null; for i in $(seq 170); do cat /tmp/one; done";
  const room = "mkdir /much; mount -t tmpfs -o size=200m much /much";
  await run(a, plan, `${room}; (${fill}) > /much/bytes; echo remembered > /tmp/here`);
  await take(a, plan, "c1");
  await a.driver.destroy(plan.id, signal);

  const shrunk = goingOnFrom(a, "c1", { ...plan, memoryBytes: small });
  await b.driver.create(shrunk, new Map(), signal);
  const isKnown = (seen: ApplianceObservation): boolean => isUp(seen) && seen.memoryLimitBytes === large;
  assert.equal((await startUntil(b, shrunk, isKnown)).vm?.start, "restored");
  await untilItUses(b, shrunk, 1, (kib) => kib > small / 1024);
  assert.equal(
    await run(b, shrunk, "stat -c %s /much/bytes; cat /tmp/here"),
    `${mebibytes(170)}\nremembered`,
  );

  await run(b, shrunk, "rm /much/bytes");
  await resize(b, shrunk, 1, small);
  assert.equal(await run(b, shrunk, "cat /tmp/here"), "remembered");
});

/** Its bytes are not what they were: as a disk may do. */
const damage = (file: string): void => writeFileSync(file, randomBytes(statSync(file).size));

test("a damaged copy of a microvm's memory is fetched anew; where none is sound it is given up after three attempts, and an older one serves", async () => {
  const guest = await tinyGuest();
  await using a = await restoringHost(guest, "a");
  await using b = await restoringHost(guest, "b");
  introduce(a, b);
  const q35 = planWithHome(guest);
  const plan = { ...q35, vm: { ...q35.vm!, machine: "microvm" as const } };
  await begin(a, plan);
  await run(a, plan, "echo first > /tmp/here");
  await take(a, plan, "c1");
  await run(a, plan, "echo second > /tmp/here");
  await take(a, plan, "c2");
  await a.driver.destroy(plan.id, signal);
  const broken = goingOnFrom(a, "c2", plan);
  const memory = broken.vm?.restore?.checkpoints[0]?.memory;
  assert.ok(memory !== undefined && broken.vm?.restore?.checkpoints.length === 2);
  damage(b.blobs.path(memory.digest));
  await b.driver.create(broken, new Map(), signal);
  const healed = await startUntil(b, broken, isUp);
  assert.deepEqual([healed.vm?.start, healed.vm?.machine], ["restored", "microvm"]);
  assert.equal(await run(b, plan, "cat /tmp/here"), "second");
  await b.driver.destroy(plan.id, signal);

  for (const { blobs } of [a, b]) damage(blobs.path(memory.digest));
  await b.driver.create(broken, new Map(), signal);
  const began = clock.monotonic();
  const seen = await startUntil(b, broken, ({ vm }) => vm?.refused?.final === true);
  // Half a second after the first, a second after the next.
  assert.ok(clock.monotonic() - began >= 1500, `${clock.monotonic() - began}ms`);
  assert.deepEqual([seen.vm?.refused?.checkpoint, seen.vm?.refused?.times], ["c2", 3]);
  assert.match(seen.message ?? "", /^It could not go on from c2, tried 3 times: /);
  await assert.rejects(b.driver.start(plan.id, signal), { code: "unavailable" });
  await b.driver.destroy(plan.id, signal);

  const older = goingOnFrom(a, "c1", plan);
  await b.driver.create(older, new Map(), signal);
  const goesOn = await startUntil(b, older, isUp);
  assert.deepEqual([goesOn.vm?.start, goesOn.vm?.refused], ["restored", undefined]);
  assert.equal(await run(b, plan, "cat /tmp/here"), "first");
  await b.driver.destroy(plan.id, signal);

  // Nothing older serves: from its disks alone.
  const cold = { ...older, vm: { ...older.vm!, restore: { ...older.vm!.restore!, cold: true as const } } };
  await b.driver.create(cold, new Map(), signal);
  assert.equal((await startUntil(b, cold, isUp)).vm?.start, "cold");
  assert.equal(await run(b, plan, "ls /tmp/here 2>/dev/null || echo anew"), "anew");
});
