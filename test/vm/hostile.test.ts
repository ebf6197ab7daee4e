import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import { qcow2BytesMax } from "#drivers/appliance/qemu/move/disk-server.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock, signal } from "../task/host.ts";
import { killQemu, machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";
import { loopback, movingHost, planWithHome } from "./moving-host.ts";

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

const lyingAgent = readFileSync(new URL("lying-agent.sh", import.meta.url), "utf8");
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

test("a guest whose agent is a program of its own, that lies and floods, is believed in nothing but itself", async (t) => {
  await using host = await movingHost(guest);
  const { driver } = host;
  const plan = planWithHome(guest);
  const other = { ...machinePlanOf(guest), id: applianceId(ensembleName("shop"), applianceName("other")) };
  for (const one of [plan, other]) await booted(driver, one);

  await t.test("its disk takes what it was given, and no more", async () => {
    const [code] = await does(
      driver,
      plan,
      "! dd if=/dev/urandom of=/home/all bs=1M count=80 2>/dev/null; sync",
    );
    assert.equal(code, 0, "it was full in the end");
    const [disk] = driver.running(plan.id)?.disks ?? [];
    const { blocks } = statSync(disk!.file);
    assert.ok(blocks * 512 <= qcow2BytesMax(BigInt(plan.vm!.homeBytes!)), `${blocks} blocks`);
  });

  await t.test(
    "numbers, texts and lists that are none of these are nonsense, told to who asked",
    async () => {
      await does(driver, plan, lyingAgent);
      const told = "Its command ended with exit code 99; its machine runs on";
      await whenSeen(driver, plan.id, ({ message }) => message === told);
      for (;;) {
        const [code, output] = await does(driver, plan, "true").catch(() => [-1, ""] as const);
        if (code !== 255) continue;
        assert.equal(output, "");
        break;
      }
      await assert.rejects(does(driver, plan, "nonsense"), { code: "driver_failed", message: /nonsense/ });
    },
  );

  await t.test("what it says without end keeps nobody waiting, and what waits for it ends", async () => {
    await assert.rejects(does(driver, plan, "flood"));
    await assert.rejects(does(driver, plan, "true"), { code: "unavailable" });
    assert.deepEqual(await does(driver, other, "echo here"), [0, "here\n"]);
    const seen = await whenSeen(driver, plan.id, ({ vm }) => vm?.agent === "silent");
    assert.equal(seen.state, "running");
    assert.deepEqual(await does(driver, other, "echo there"), [0, "there\n"]);
  });

  await driver.destroy(plan.id, signal);
  assert.deepEqual(
    driver.observe().map(({ id, state }) => [id, state]),
    [[other.id, "running"]],
  );
});

test("last words that would take over a terminal are told as plain words", async () => {
  await using host = await machineHost(guest);
  const plan = machinePlanOf(guest);
  await booted(host.driver, plan);
  const words = "\\033]0;taken\\007 over \\033[2J";
  const dies = `(sleep 0.2; printf "\nKernel panic - not syncing: ${words}\n" > /dev/ttyS0; sleep 1; reboot -f) > /dev/null 2>&1 &`;
  await does(host.driver, plan, dies);
  const { message = "" } = await whenSeen(host.driver, plan.id, ({ state }) => state === "failed");
  assert.equal(message, "Its guest panicked: ]0;taken over [2J");
});
