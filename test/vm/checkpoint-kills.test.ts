import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { memoryStream } from "#drivers/appliance/qemu/checkpoint/restore.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { memoryOf } from "#model/checkpoint-chain.ts";
import { bareVm, CheckpointRig, id, openHost } from "./checkpointing.ts";
import type { BareMachine, CheckpointHost } from "./checkpointing.ts";

const taker = fileURLToPath(new URL("checkpoint-taker.child.ts", import.meta.url));
const signal = AbortSignal.timeout(900_000);
const random = seededRandom(Number(process.env["CONSORT_SEED"]) || 5);
const rounds = 6;
const clock = systemClock();

/** Takes checkpoints in a process of its own, which is killed a random time after one was complete. */
async function takeAndDie(machine: BareMachine, directory: string, first: number): Promise<void> {
  const child = spawn(process.execPath, [taker, machine.directory, directory, String(first)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "exit");
  try {
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value } = await lines.next();
    assert.match(String(value), /^taken /);
    await clock.sleep(millis(random.integer(700)), signal);
  } finally {
    child.kill("SIGKILL");
    await gone;
  }
}

/** What the next manager finds is whole, and the machine runs. */
async function checkWhole(host: CheckpointHost, rig: CheckpointRig, machine: BareMachine): Promise<void> {
  machine.vm = await bareVm(machine.directory, rig.image);
  host.vm = machine.vm;
  host.checkpoints.look(signal);
  for (;;) {
    const status = (await machine.vm.qmp.execute("query-status", {}, signal)) as { running: boolean };
    if (status.running) break;
    await clock.sleep(millis(20), signal);
  }
  const chain = rig.chain(host);
  assert.ok(chain.length > 0);
  let bytes = 0;
  for await (const piece of memoryStream(memoryOf(chain), host.blobs, signal)) bytes += piece.length;
  assert.ok(bytes > 10 * 1024 * 1024);
  machine.vm.qmp.close();
}

test("a manager that is killed at any moment leaves the last complete checkpoint, and the machine running", async () => {
  await using rig = await CheckpointRig.open(signal);
  await using idle = await rig.host("idle");
  const machine = await rig.start(idle);
  const sum = await machine.shell("dd if=/dev/urandom of=/data/x bs=1M count=4; md5sum /data/x");
  await machine.shell(
    "(while :; do dd if=/dev/urandom of=/dev/vda bs=64k count=9 conv=fsync; done) >/dev/null 2>&1 & echo",
  );
  machine.vm.qmp.close();
  const directory = `${rig.directory}/a`;
  let chain: readonly string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await takeAndDie(machine, directory, round * 1000);
    const host = await openHost("a", directory);
    await checkWhole(host, rig, machine);
    chain = rig.chain(host).map((one) => one.id);
    assert.ok(chain[0]?.startsWith(`k${round === 0 ? "" : round}`), `${chain.join()} in round ${round}`);
    await host[Symbol.asyncDispose]();
  }
  await using host = await openHost("a", directory);
  await machine.kill();
  const restored = await rig.restored(host, rig.chain(host), []);
  assert.ok((await restored.shell("md5sum /data/x")).length > 0);
  assert.equal(await restored.shell("md5sum /data/x"), sum.split("\n").at(-1));
});

test("what one that was killed has left in QEMU is in nobody's way", async () => {
  await using rig = await CheckpointRig.open(signal);
  await using host = await rig.host("a");
  const machine = await rig.start(host);
  host.checkpoints.look(signal);
  const take = (name: string): Promise<unknown> =>
    host.checkpoints.take(
      { appliance: id, id: name, generation: "1", policy: { copies: 0, keep: 2 } },
      signal,
    );
  await take("k1");
  // As between its backup's beginning and its end, the machine going on since.
  const left = ["ck-target-root", "ck-open"].map((name) => `${machine.directory}/${name}`);
  const [target, path] = left;
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", target ?? "", "256M"]);
  const node = {
    driver: "qcow2",
    "node-name": "ck-target-root",
    file: { driver: "file", filename: target },
  };
  await machine.vm.qmp.execute("blockdev-add", node, signal);
  await machine.vm.qmp.execute("nbd-server-start", { addr: { type: "unix", data: { path } } }, signal);
  const opening = { type: "nbd", id: "ck-open-root", "node-name": "root", name: "root" };
  await machine.vm.qmp.execute("block-export-add", opening, signal);
  await take("k2");
  assert.deepEqual(
    rig.chain(host).map((one) => one.id),
    ["k2", "k1"],
  );
});
