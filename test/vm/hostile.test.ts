import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock, signal } from "../task/host.ts";
import { killQemu, machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";
import { loopback, movingHost } from "./moving-host.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

async function booted(driver: QemuDriver, plan: AppliancePlan): Promise<void> {
  await driver.create(plan, new Map(), signal);
  await driver.start(plan.id, signal);
  await whenSeen(driver, plan.id, ({ vm }) => vm?.agent === "answers");
}

async function does(driver: QemuDriver, plan: AppliancePlan, script: string): Promise<[number, string]> {
  let output = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void => {
    output += Buffer.from(chunk).toString();
  };
  const code = await driver.exec(plan.id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
  return [code, output];
}

const keptMax = mebibytes(1);
/** Longer than it takes until output is looked at again. */
const watchMs = 3_000;
const lookMs = 100;

test("a guest that floods its console and its callers, and then falls silent, harms nothing beyond itself", async (t) => {
  await using host = await machineHost(guest, {}, { outputBytesMax: keptMax });
  const plan = machinePlanOf(guest);
  await booted(host.driver, plan);

  await t.test("much that a program writes is handed on", async () => {
    const [code, output] = await does(host.driver, plan, "yes | head -c 100000");
    assert.deepEqual([code, output.length], [0, 100_000]);
  });

  await t.test("its console is heard for ever, and takes no more disk than it may", async () => {
    const look = new AbortController();
    const heard = Promise.withResolvers<string>();
    await host.driver.console(plan.id, (chunk) => heard.resolve(String(chunk)), look.signal);
    await does(
      host.driver,
      plan,
      "(while :; do echo 0123456789abcdef; done) > /dev/ttyS0 2>&1 < /dev/null &",
    );
    assert.match(await heard.promise, /\S/);
    look.abort();
    const log = join(host.tasks.stateDir, "slots/0/log");
    let most = 0;
    for (let watched = 0; watched < watchMs; watched += lookMs) {
      most = Math.max(most, statSync(log).size);
      await clock.sleep(millis(lookMs), signal);
    }
    assert.ok(most < 8 * keptMax, `${most} bytes`);
  });

  await t.test("its agent gone, it is told of as silent, and programs are refused in time", async () => {
    const stops = does(host.driver, plan, "kill -STOP $(pidof qemu-ga)");
    await assert.rejects(stops, { code: "unavailable" });
    const seen = await whenSeen(host.driver, plan.id, ({ vm }) => vm?.agent === "silent");
    assert.deepEqual([seen.state, seen.message], ["running", "Its guest does not answer"]);
  });
});

const stillAtIt = { code: "unavailable", message: /one is under way/ };

test("a QEMU that answers nobody any more, as its guest broke out of it, holds up neither other machines nor its own end", async () => {
  await using host = await movingHost(guest);
  const { driver } = host;
  const plan = machinePlanOf(guest);
  await booted(driver, plan);
  assert.ok(killQemu(driver, plan.id, "SIGSTOP"));

  const move = { side: "leaving", move: "one", token: "t", to: hostId("b"), toAddress: loopback } as const;
  const leaving = { ...plan, vm: { ...plan.vm!, move } };
  for (let pass = 0; pass < 3; pass += 1) await assert.rejects(driver.move(leaving, signal), stillAtIt);
  await assert.rejects(driver.adapt(new Map([[plan.id, { memoryBytes: mebibytes(96) }]]), signal), {
    code: "unavailable",
  });

  const other = { ...plan, id: applianceId(ensembleName("shop"), applianceName("other")) };
  await booted(driver, other);
  assert.deepEqual(await does(driver, other, "echo here"), [0, "here\n"]);

  await driver.destroy(plan.id, signal);
  assert.deepEqual(
    driver.observe().map(({ id }) => id),
    [other.id],
  );
});
