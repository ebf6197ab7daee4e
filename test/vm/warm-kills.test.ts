import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import { clearHost, clock, hostOptions, signal, traces } from "../task/host.ts";
import { tinyGuest } from "./machine-host.ts";
import { insistentPlan, warmDriver } from "./warm-driver.ts";

const managerProgram = fileURLToPath(new URL("warm.child.ts", import.meta.url));
/** While the guest boots. */
const lifesMs = [0, 150, 900];
const lookMs = millis(2);

/** Has a manager begin with a snapshot, and kills it at that moment. */
async function killManager(
  tasks: TaskDriverOptions,
  warmDir: string,
  moment: () => Promise<void>,
): Promise<void> {
  const { stateDir, cgroupParent, netnsPrefix } = tasks;
  const place = JSON.stringify({ stateDir, cgroupParent, netnsPrefix });
  const child = spawn(process.execPath, [managerProgram, place, warmDir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const gone = once(child, "close");
  await Promise.race([once(child.stdout, "data"), gone]);
  await moment();
  child.kill("SIGKILL");
  const [code, killedBy]: unknown[] = await gone;
  assert.equal(killedBy, "SIGKILL", `the manager ended by itself with ${String(code)}`);
}

test("a manager killed at any moment while a guest boots for a snapshot leaves nothing half made, and the next one makes it", async () => {
  const guest = await tinyGuest();
  const tasks = hostOptions();
  // On the file system that machines' directories are on.
  const warmDir = mkdtempSync("/var/lib/consort-test-warm-");
  const halfMade = (): readonly string[] =>
    readdirSync(join(warmDir, "warm")).filter((name) => name.endsWith(".making"));
  try {
    for (const lifeMs of lifesMs)
      await killManager(tasks, warmDir, () => clock.sleep(millis(lifeMs), signal));
    await killManager(tasks, warmDir, async () => {
      while (halfMade().length === 0) await clock.sleep(lookMs, signal);
    });
    const { driver, pool } = warmDriver(tasks, guest, warmDir);
    await driver.recover(signal);
    const { id } = insistentPlan(guest);
    assert.deepEqual(
      driver.observe().map((one) => one.id),
      [id],
      "no guest that booted for a snapshot is left",
    );
    assert.deepEqual(halfMade(), []);
    while (driver.observe()[0]?.state !== "running") {
      await driver.start(id, signal).catch((cause: unknown) => {
        if (codeOf(cause) !== "unavailable") throw cause;
      });
      await clock.sleep(millis(100), signal);
    }
    assert.equal(driver.observe()[0]?.vm?.start, "warm");
    assert.deepEqual(halfMade(), []);
    await driver.destroy(id, signal);
    await pool.close();
    assert.deepEqual(readdirSync(join(tasks.stateDir, "vms")), []);
    await driver.close();
    assert.deepEqual(traces(tasks), []);
  } finally {
    const { driver, pool } = warmDriver(tasks, guest, warmDir);
    await driver.recover(signal);
    for (const { id } of driver.observe()) await driver.destroy(id, signal);
    await driver.close();
    await pool.close();
    await clearHost(new TaskDriver(tasks), tasks);
    rmSync(warmDir, { recursive: true, force: true });
  }
});
