import assert from "node:assert/strict";
import { chownSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { codeOf } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { LiveSettings } from "#drivers/appliance/port.ts";
import type { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import type { MachineStorage } from "#drivers/appliance/qemu/storage.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock, signal } from "../task/host.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

const lookMs = millis(100);

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

/** A machine that may grow to four processors and 256 MiB. */
function growing(): AppliancePlan {
  const plan = machinePlanOf(guest);
  const memoryBytes = mebibytes(192);
  return { ...plan, memoryBytes, vm: { ...plan.vm!, vcpusMax: 4, memoryBytesMax: mebibytes(320) } };
}

async function running(driver: QemuDriver, plan: AppliancePlan): Promise<void> {
  await driver.create(plan, new Map(), signal);
  await driver.start(plan.id, signal);
  await whenSeen(driver, plan.id, ({ state, vm }) => state === "running" && vm?.agent === "answers");
}

/** As a host manager does: again while it takes its time. */
async function adapt(driver: QemuDriver, id: ApplianceId, settings: LiveSettings): Promise<void> {
  for (;;) {
    try {
      return await driver.adapt(new Map([[id, settings]]), signal);
    } catch (cause) {
      if (codeOf(cause) !== "unavailable") throw cause;
    }
  }
}

const sizeOf = (driver: QemuDriver): unknown => {
  const [one] = driver.observe();
  return [one?.vm?.vcpus, one?.memoryLimitBytes, one?.restarts];
};

async function inGuest(driver: QemuDriver, id: ApplianceId, script: string): Promise<number> {
  let output = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void => {
    output += Buffer.from(chunk).toString();
  };
  await driver.exec(id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
  return Number(output);
}

const processors = "grep -c ^processor /proc/cpuinfo";
const memoryKb = "sed -n 's/MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo";

test("memory and processors of a machine change while its guest runs, and what it refuses stays as it was", async () => {
  await using host = await machineHost(guest);
  const { driver } = host;
  const plan = growing();
  await running(driver, plan);
  const beganWithKb = await inGuest(driver, plan.id, memoryKb);

  await adapt(driver, plan.id, { memoryBytes: mebibytes(128) });
  assert.deepEqual(sizeOf(driver), [1, mebibytes(128), 0]);

  await adapt(driver, plan.id, { memoryBytes: mebibytes(256) });
  assert.deepEqual(sizeOf(driver), [1, mebibytes(256), 0]);
  assert.equal((await inGuest(driver, plan.id, memoryKb)) - beganWithKb, 64 * 1024);

  const tooLittle = adapt(driver, plan.id, { memoryBytes: mebibytes(24) });
  await assert.rejects(tooLittle, /its guest has \d+ MiB to spare, and 232 MiB less were wanted/);
  assert.deepEqual(sizeOf(driver), [1, mebibytes(256), 0]);

  await adapt(driver, plan.id, { vm: { vcpus: 3 } });
  assert.deepEqual(sizeOf(driver), [3, mebibytes(256), 0]);
  assert.equal(await inGuest(driver, plan.id, processors), 3);

  const refused = adapt(driver, plan.id, { vm: { vcpus: 5 } });
  await assert.rejects(refused, /it is emulated and began with 4 processors, 5 were wanted/);
});

test("processors come and go as often as is wanted, and a guest that begins anew uses those that it was left", async () => {
  await using host = await machineHost(guest);
  const { driver } = host;
  const plan = growing();
  await running(driver, plan);
  for (const vcpus of [2, 1, 3, 1, 2, 4, 1]) {
    await adapt(driver, plan.id, { vm: { vcpus } });
    assert.deepEqual(sizeOf(driver), [vcpus, plan.memoryBytes, 0]);
    assert.equal(await inGuest(driver, plan.id, processors), vcpus);
  }
  await inGuest(driver, plan.id, "touch /tmp/before; echo 0");
  await driver.running(plan.id)?.qmp.execute("system_reset", {}, signal);
  await untilInGuest(driver, plan.id, "test -e /tmp/before; echo $?", 1);
  await untilInGuest(driver, plan.id, processors, 1);
  assert.deepEqual(sizeOf(driver), [1, plan.memoryBytes, 0]);
  await adapt(driver, plan.id, { vm: { vcpus: 2 } });
  assert.equal(await inGuest(driver, plan.id, processors), 2);
});

/** One that begins anew does not answer at first. */
async function untilInGuest(
  driver: QemuDriver,
  id: ApplianceId,
  script: string,
  said: number,
): Promise<void> {
  while ((await inGuest(driver, id, script).catch(() => undefined)) !== said)
    await clock.sleep(lookMs, signal);
}

test("disks are as slow as they are told to be, from the first moment on and from one moment to the next", async () => {
  const storage: MachineStorage = {
    prepare: ({ directory, uid }) => {
      const file = join(directory, "home");
      writeFileSync(file, "");
      truncateSync(file, mebibytes(16));
      chownSync(file, uid, uid);
      return Promise.resolve([{ name: "home", readOnly: false, layers: [{ file, format: "raw" }] }]);
    },
    remove: () => Promise.resolve(),
  };
  await using host = await machineHost(guest, { storage });
  const { driver } = host;
  const slow = { writeBytesPerSecond: mebibytes(1) };
  const plan = machinePlanOf(guest);
  await running(driver, { ...plan, vm: { ...plan.vm!, disk: slow } });
  assert.deepEqual(driver.observe()[0]?.diskLimits, slow);
  // Some of it goes at once: a burst of a tenth of a second.
  assert.ok((await secondsToWrite(driver, plan.id, 4)) > 2.5);

  await adapt(driver, plan.id, { vm: { vcpus: 1 } });
  assert.equal(driver.observe()[0]?.diskLimits, undefined);
  const [{ inserted: free } = {}] = await blocksOf(driver, plan.id);
  assert.equal(free?.bps_wr, 0);

  await adapt(driver, plan.id, { vm: { vcpus: 1, disk: { writesPerSecond: 7 } } });
  const [{ inserted: limited } = {}] = await blocksOf(driver, plan.id);
  assert.deepEqual([limited?.iops_wr, limited?.bps_wr], [7, 0]);
});

type Block = {
  readonly qdev: string;
  readonly inserted?: { readonly bps_wr: number; readonly iops_wr: number };
};

async function blocksOf(driver: QemuDriver, id: ApplianceId): Promise<readonly Block[]> {
  const all = (await driver.running(id)?.qmp.execute("query-block", {}, signal)) as readonly Block[];
  return all.filter(({ qdev }) => qdev.includes("disk-home"));
}

async function secondsToWrite(driver: QemuDriver, id: ApplianceId, mib: number): Promise<number> {
  const disk = "/dev/$(grep -l '^home$' /sys/block/vd*/serial | cut -d/ -f4)";
  // Each by itself: a large one would go at once, and what comes after it wait.
  const one = `dd if=/dev/zero of=${disk} bs=64k count=1 seek=$i conv=notrunc,fsync 2>/dev/null`;
  const write = `i=0; while [ $i -lt ${mib * 16} ]; do ${one}; i=$((i + 1)); done`;
  const now = "cut -d' ' -f1 /proc/uptime";
  return inGuest(driver, id, `a=$(${now}); ${write}; b=$(${now}); echo $b $a | awk '{print $1 - $2}'`);
}
