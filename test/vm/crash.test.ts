import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { cgroups, clearHost, clock, hostOptions, signal, traces } from "../task/host.ts";
import { machineOptions, tinyGuest } from "./machine-host.ts";

const managerProgram = fileURLToPath(new URL("manager.child.ts", import.meta.url));
const rounds = 8;

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

/** Runs a manager process for `lifeMs` beyond its first word, kills it, and gives back what it said. */
async function killedManager(options: TaskDriverOptions, seed: number, lifeMs: number): Promise<string[]> {
  const { stateDir, cgroupParent, netnsPrefix } = options;
  const place = JSON.stringify({ stateDir, cgroupParent, netnsPrefix });
  const child = spawn(process.execPath, [managerProgram, String(seed), place], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said: string[] = [];
  const ready = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    said.push(line);
    ready.resolve();
  });
  const gone = once(child, "close");
  await Promise.race([ready.promise, gone]);
  await clock.sleep(millis(lifeMs), signal);
  child.kill("SIGKILL");
  const [code, killedBy]: unknown[] = await gone;
  assert.equal(killedBy, "SIGKILL", `the manager ended by itself with ${String(code)}`);
  return said;
}

/** What a machine may be when the last thing said of it was that a step had ended. */
const settled: Readonly<Record<string, readonly (string | undefined)[]>> = {
  "end create": ["created"],
  "end start": ["running", "starting", "backoff"],
  "end stop": ["created", "stopped"],
  "end destroy": [undefined],
};

function check(said: readonly string[], observed: readonly ApplianceObservation[], context: string): void {
  for (const name of ["one", "two"]) {
    const last = said.findLast((line) => line.endsWith(` ${name}`));
    const step = last?.slice(0, last.lastIndexOf(" "));
    if (step === undefined || !Object.hasOwn(settled, step)) continue;
    const state = observed.find((one) => one.id === `crash/${name}`)?.state;
    assert.ok(settled[step]?.includes(state), `${name} is ${state} after "${step}"; ${context}`);
  }
}

/** Opens the host as the next manager would, and looks at all that is there. */
async function checkHost(
  options: TaskDriverOptions,
  said: readonly string[],
  context: string,
): Promise<void> {
  const driver = new QemuDriver(machineOptions(options, guest));
  try {
    await driver.recover(signal);
    const observed = driver.observe();
    check(said, observed, context);
    const count = observed.length;
    assert.equal(readdirSync(join(options.stateDir, "slots")).length, count, `slots; ${context}`);
    assert.equal(readdirSync(join(options.stateDir, "vms")).length, count, `files; ${context}`);
    assert.equal(cgroups.open(options.cgroupParent).children().length, count, `groups; ${context}`);
    for (const { id, state } of observed) {
      if (state !== "running") continue;
      assert.ok(driver.running(id) !== undefined, `${id} runs, but its QEMU does not answer; ${context}`);
      const qemus = qemusIn(options.cgroupParent);
      assert.ok(qemus <= count, `${qemus} QEMUs for ${count} machines; ${context}`);
    }
  } finally {
    await driver.close();
  }
}

const qemusIn = (group: string): number =>
  cgroups
    .open(group)
    .children()
    .reduce((sum, name) => sum + cgroups.openForCpu(`${group}/${name}/main`).pids().length, 0);

test(`machines whose manager and QEMUs are killed at any moment, ${rounds} times over, are neither lost nor doubled`, async () => {
  const options = hostOptions();
  try {
    for (let round = 0; round < rounds; round += 1) {
      const lifeMs = (round * 197) % 900;
      const said = await killedManager(options, round, lifeMs);
      await checkHost(options, said, `round ${round}: ${said.slice(-6).join(", ")}`);
    }
  } finally {
    const driver = new QemuDriver(machineOptions(options, guest));
    await driver.recover(signal);
    for (const { id } of driver.observe()) await driver.destroy(id, signal);
    const files = readdirSync(join(options.stateDir, "vms"));
    await driver.close();
    assert.deepEqual(traces(options), []);
    await clearHost(new TaskDriver(options), options);
    assert.deepEqual(files, []);
  }
});
