import assert from "node:assert/strict";
import { chownSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { before, test } from "node:test";
import { mebibytes } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { QemuDriverOptions } from "#drivers/appliance/qemu/driver.ts";
import { connectUnix } from "#drivers/appliance/qemu/unix-path.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { signal } from "../task/host.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

/** Nothing boots from it: the firmware says so on the display. */
const emptyRoot: QemuDriverOptions["storage"] = {
  prepare: ({ directory, uid }) => {
    const file = join(directory, "root");
    writeFileSync(file, Buffer.alloc(mebibytes(1)));
    chownSync(file, uid, uid);
    return Promise.resolve([{ name: "root", readOnly: false, layers: [{ file, format: "raw" }] }]);
  },
  remove: () => Promise.resolve(),
};

test("a machine that boots from its disk shows its display to its host alone", async () => {
  await using host = await machineHost(guest, { storage: emptyRoot });
  const { driver } = host;
  const { vm, ...plan } = machinePlanOf(guest);
  assert.ok(vm !== undefined);
  const base = { ...guest.image, boot: { kind: "disk" as const, firmware: "bios" as const }, features: [] };
  await driver.create({ ...plan, vm: { ...vm, base } }, new Map(), signal);
  await driver.start(plan.id, signal);
  await whenSeen(driver, plan.id, ({ state }) => state === "running");
  const directory = driver.running(plan.id)?.directory ?? assert.fail("it does not run");
  assert.equal(directory, join(host.tasks.stateDir, "vms", "shop%2Fdb", "machine"));
  const display = await connectUnix(join(directory, "vnc"), signal);
  display.end();
  assert.match(await text(display), /^RFB 003\.\d{3}\n/);
  const { uid, mode } = statSync(directory);
  assert.deepEqual([uid, mode & 0o007], [0, 0], "nobody else on the host comes to it");
});
