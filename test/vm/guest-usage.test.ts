import assert from "node:assert/strict";
import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { mebibytes, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { QemuDriverOptions } from "#drivers/appliance/qemu/driver.ts";
import { QemuGuestMeter } from "#drivers/appliance/qemu/usage/guest-meter.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { GuestUsage } from "#protocol/host-report.ts";
import { clock, signal } from "../task/host.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

const homeOfTwoMebibytes: QemuDriverOptions["storage"] = {
  prepare: ({ directory, uid }) => {
    const file = join(directory, "home");
    writeFileSync(file, Buffer.alloc(mebibytes(2)));
    chownSync(file, uid, uid);
    return Promise.resolve([{ name: "home", readOnly: false, layers: [{ file, format: "raw" }] }]);
  },
  remove: () => Promise.resolve(),
};

test("what a guest reads and writes is counted, and its memory told as it tells itself", async () => {
  await using host = await machineHost(guest, { storage: homeOfTwoMebibytes });
  const { driver } = host;
  const plan = machinePlanOf(guest);
  await driver.create(plan, new Map(), signal);
  await driver.start(plan.id, signal);
  await whenSeen(driver, plan.id, ({ vm }) => vm?.agent === "answers");
  const running = () => [driver.running(plan.id)].filter((vm) => vm !== undefined);
  const meter = new QemuGuestMeter({ running, clock, signal });
  const told = async (isSo: (usage: GuestUsage) => boolean): Promise<GuestUsage> => {
    for (;;) {
      const usage = meter.read()[plan.id];
      if (usage !== undefined && isSo(usage)) return usage;
      await clock.sleep(millis(100), signal);
    }
  };
  const {
    memoryTotalBytes = 0,
    memoryAvailableBytes = 0,
    writtenBytes,
  } = await told((usage) => usage.memoryAvailableBytes !== undefined);
  assert.ok(memoryTotalBytes > mebibytes(64) && memoryTotalBytes < mebibytes(128), `${memoryTotalBytes}`);
  assert.ok(memoryAvailableBytes > mebibytes(8) && memoryAvailableBytes < memoryTotalBytes);
  const command = ["sh", "-c", "dd if=/dev/zero of=/dev/vda bs=1M count=1 seek=1 && sync"];
  const output: string[] = [];
  const onOutput = (_stream: string, chunk: Uint8Array): number => output.push(Buffer.from(chunk).toString());
  assert.equal(await driver.exec(plan.id, { command, env: {}, onOutput }, signal), 0, output.join(""));
  const after = await told((usage) => usage.writtenBytes >= writtenBytes + mebibytes(1));
  assert.equal(after.writtenBytes, writtenBytes + mebibytes(1));
});
