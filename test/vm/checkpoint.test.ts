import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { millis } from "#base/units.ts";
import type { CheckpointReport } from "#protocol/host-report.ts";
import { clock } from "../task/host.ts";
import { CheckpointRig, id } from "./checkpointing.ts";
import type { CheckpointHost } from "./checkpointing.ts";

const signal = AbortSignal.timeout(900_000);
const policy = { copies: 1, keep: 2 };
let rig: CheckpointRig;
let a: CheckpointHost;
let b: CheckpointHost;

before(async () => {
  rig = await CheckpointRig.open(signal);
  a = await rig.host("a");
  b = await rig.host("b");
  await rig.start(a);
});
after(() => rig[Symbol.asyncDispose]());

const newest = (host: CheckpointHost): CheckpointReport => {
  const report = host.checkpoints.observe().at(-1);
  if (report === undefined) throw new Error("there is no checkpoint");
  return report;
};
const bytesOf = ({ checkpoint }: CheckpointReport): number =>
  [checkpoint.memory, ...checkpoint.disks.map(({ content }) => content)].reduce(
    (sum, part) => sum + (part?.contentBytes ?? 0),
    0,
  );
const machineOf = (host: CheckpointHost): NonNullable<CheckpointHost["machine"]> => {
  if (host.machine === undefined) throw new Error("no machine runs there");
  return host.machine;
};

test("a second checkpoint holds only what has changed, and the machine is hardly held", async () => {
  const machine = machineOf(a);
  await machine.shell(
    "dd if=/dev/urandom of=/data/base bs=1M count=20; dd if=/dev/urandom of=/dev/vda bs=1M count=3; sync",
  );
  await a.checkpoints.take({ appliance: id, id: "c1", generation: "1", policy }, signal);
  const first = bytesOf(newest(a));
  await machine.shell(
    "dd if=/dev/urandom of=/data/more bs=1M count=3; dd if=/dev/urandom of=/dev/vda bs=64k count=2 seek=100; sync",
  );
  await a.checkpoints.take({ appliance: id, id: "c2", generation: "1", policy }, signal);
  const second = newest(a);
  assert.equal(second.checkpoint.after, "c1");
  assert.deepEqual(second.copies, [a.host, b.host]);
  assert.ok(bytesOf(second) <= first / 10, `${bytesOf(second)} of ${first}`);
  assert.ok(second.checkpoint.pauseMs > 0);
});

test("on another host the same machine goes on: its memory, its disk, its programs", async () => {
  const machine = machineOf(a);
  const sums = "md5sum /data/base /data/more; head -c 12m /dev/vda | md5sum";
  const sum = await machine.shell(sums);
  const ticks = Number(await machine.shell("cat /data/ticks"));
  await a.checkpoints.take({ appliance: id, id: "c3", generation: "1", policy }, signal);
  await machine.shell("echo gone > /data/base; dd if=/dev/zero of=/dev/vda bs=1M count=8; sync");
  const restored = await rig.restored(b, rig.chain(a), newest(a).copies);
  assert.equal(await restored.shell(sums), sum);
  const now = Number(await restored.shell("cat /data/ticks"));
  assert.ok(now >= ticks && now < ticks + 200, `${now} after ${ticks}`);
  await machine.kill();
});

test("what was restored has its next checkpoint taken after the one it began from, and can move on again", async () => {
  const machine = machineOf(b);
  await machine.shell("echo later > /data/later; dd if=/dev/urandom of=/dev/vda bs=64k count=2 seek=9; sync");
  await b.checkpoints.take({ appliance: id, id: "d1", generation: "1", policy }, signal);
  assert.equal(newest(b).checkpoint.after, "c3");
  assert.ok(bytesOf(newest(b)) < 10 * 1024 * 1024, `${bytesOf(newest(b))}: what it began from once more`);
  const sum = await machine.shell("head -c 12m /dev/vda | md5sum");
  await machine.kill();
  const again = await rig.restored(a, rig.chain(b), newest(b).copies);
  assert.equal(await again.shell("cat /data/later; head -c 12m /dev/vda | md5sum"), `later\n${sum}`);
});

test("one that is suspended to disk again and again keeps a short chain, and goes on from it", async () => {
  const machine = machineOf(a);
  const sum = "cat /data/later; head -c 12m /dev/vda | md5sum";
  const written = await machine.shell(sum);
  for (let round = 1; round <= 12; round += 1) {
    a.checkpoints.release(id, signal);
    while (a.checkpoints.standing().size > 0) await clock.sleep(millis(20), signal);
    await a.checkpoints.take(
      { appliance: id, id: `s${round}`, generation: "1", policy, stays: true },
      signal,
    );
  }
  assert.equal(newest(a).checkpoint.id, "s12");
  assert.ok(rig.chain(a).length <= 11, `${rig.chain(a).length} are needed`);
  await machine.kill();
  const again = await rig.restored(b, rig.chain(a), newest(a).copies);
  assert.equal(await again.shell(sum), written);
});

test("a machine whose table of pages stayed on another host is compared with its memory, or taken as a whole", async () => {
  const machine = machineOf(b);
  const table = join(b.directory, "checkpoints", encodeURIComponent(id), "e1.pages");
  // Without disks of its own nothing else tells that it is another host.
  const { vm } = machine;
  machine.vm = { ...vm, disks: [] };
  await b.checkpoints.take({ appliance: id, id: "e1", generation: "2", policy }, signal);
  rmSync(table);
  await b.checkpoints.take({ appliance: id, id: "e2", generation: "2", policy }, signal);
  assert.ok(bytesOf(newest(b)) < 10 * 1024 * 1024, "what has changed");
  rmSync(join(dirname(table), "e2.pages"));
  const { memory } = newest(b).checkpoint;
  assert.ok(memory !== undefined);
  writeFileSync(b.blobs.path(memory.digest), "damaged");
  await b.checkpoints.take({ appliance: id, id: "e3", generation: "2", policy }, signal);
  assert.ok(bytesOf(newest(b)) > 10 * 1024 * 1024, "all of it");
  await b.checkpoints.take({ appliance: id, id: "e4", generation: "2", policy }, signal);
  assert.equal(newest(b).checkpoint.after, "e3");
  assert.ok(bytesOf(newest(b)) < 10 * 1024 * 1024, "what has changed");
  machine.vm = vm;
});
