import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { micros, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import { processorsOf } from "#drivers/scheduling/kernel/calls.ts";
import { tableFile } from "#drivers/scheduling/table/file.ts";
import { TableMemory } from "#drivers/scheduling/table/memory.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { cgroups, clock, signal } from "../task/host.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

/**
 * A machine that a dispatch table keeps: QEMU is stopped and continued many times a second. Where one scheduler has all
 * processors of this machine its threads come before all others in their slots; where it has fewer they are ordinary.
 */
const reserved = { periodUs: micros(40_000), executionUs: micros(24_000) };
const windowMs = millis(2_000);
const lookMs = millis(5);
const all = processorsOf(0)?.length ?? 1;

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

function until(isSo: () => boolean): Promise<void> {
  return (async () => {
    while (!isSo()) await clock.sleep(lookMs, signal);
  })();
}

/** Of one processor, over a while. */
async function shareOf(driver: QemuDriver): Promise<number> {
  const usedMs = (): number => driver.observe()[0]?.cpuUsedMs ?? 0;
  const from = { atMs: clock.monotonic(), usedMs: usedMs() };
  await clock.sleep(windowMs, signal);
  return (usedMs() - from.usedMs) / (clock.monotonic() - from.atMs);
}

async function answer(driver: QemuDriver, { id }: AppliancePlan, script: string): Promise<string> {
  let output = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void => {
    output += Buffer.from(chunk).toString();
  };
  await driver.exec(id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
  return output.trim();
}

for (const [how, processors] of [
  ["ordinary", Math.max(1, all - 1)],
  ["before all others", all],
] as const) {
  test(`a machine in slots, ${how}: its share is kept, it answers, and a killed dispatcher leaves it running`, async () => {
    const runDir = mkdtempSync("/run/consort-test-vm-");
    const directory = join(runDir, "scheduling");
    await using undo = new AsyncDisposableStack();
    undo.defer(() => rmSync(runDir, { recursive: true }));
    const mark = `consort-test-dispatched-${process.pid}-${processors}`;
    const scheduler = createCpuScheduler({
      directory,
      layout: machineLayout(),
      cgroupParent: mark,
      processors: Array.from({ length: processors }, () => ({ milli: 1000 })),
      log: silentLog,
    });
    undo.defer(() => scheduler.close());
    await using host = await machineHost(guest, {}, { scheduler, cgroupParent: mark });
    const { driver } = host;
    const plan = machinePlanOf(guest, {
      cpu: { kind: "reservation", ...reserved },
      enforcement: "dispatch-table",
    });
    await driver.create(plan, new Map(), signal);
    await driver.start(plan.id, signal);
    await whenSeen(driver, plan.id, ({ vm }) => vm?.agent === "answers");
    assert.equal(driver.observe()[0]?.scheduling?.enforcement, "dispatch-table");
    // It wants all it can get from now on.
    assert.equal(await answer(driver, plan, "(while :; do :; done) >/dev/null 2>&1 & echo busy"), "busy");
    const share = await shareOf(driver);
    assert.ok(share > 0.5 && share < 0.66, `${share} of a processor, 0.6 reserved`);
    assert.equal(await answer(driver, plan, "echo here"), "here");

    const memory = TableMemory.open(tableFile(join(directory, "table")));
    undo.defer(() => memory.close());
    const { pid } = memory.dispatcher();
    const dispatches = (): number => driver.observe()[0]?.scheduling?.dispatches ?? 0;
    process.kill(pid, "SIGKILL");
    await until(() => ![0, pid].includes(memory.dispatcher().pid));
    const dispatched = dispatches();
    await until(() => dispatches() > dispatched);
    assert.equal(await answer(driver, plan, "echo again"), "again");
    const after = await shareOf(driver);
    assert.ok(after > 0.5 && after < 0.66, `${after} of a processor, 0.6 reserved`);

    // With nobody to follow it, what it had stopped runs on.
    process.kill(memory.dispatcher().pid, "SIGKILL");
    await scheduler.close();
    assert.equal(cgroups.open(`${driver.running(plan.id)?.cgroup.path}/main`).isFrozen(), false);
    assert.equal(await answer(driver, plan, "echo free"), "free");
  });
}
