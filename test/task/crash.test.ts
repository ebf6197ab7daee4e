import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { millis } from "#base/units.ts";
import { conformancePlan, whenSeen } from "#drivers/appliance/conformance.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { TaskDriverOptions } from "#drivers/appliance/task/driver.ts";
import { cgroups, clearHost, clock, hostOptions, programs, signal, taskHost, traces } from "./host.ts";

const managerProgram = fileURLToPath(new URL("manager-process.ts", import.meta.url));
const rounds = 60;

/** Runs a manager process for `lifeMs` beyond its first word, kills it, and gives back what it said. */
async function killedManager(options: TaskDriverOptions, seed: number, lifeMs: number): Promise<string[]> {
  const { stateDir, cgroupParent, netnsPrefix } = options;
  const child = spawn(process.execPath, [managerProgram, String(seed), stateDir, cgroupParent, netnsPrefix], {
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

/** The state an appliance must be in when the last thing said of it was that a step had ended. */
const settled: Readonly<Record<string, string | undefined>> = {
  "end create": "created",
  "end start": "running",
  "end destroy": undefined,
};

function check(said: readonly string[], observed: readonly ApplianceObservation[], context: string): void {
  for (const name of ["one", "two", "three"]) {
    const last = said.findLast((line) => line.endsWith(` ${name}`));
    const step = last?.slice(0, last.lastIndexOf(" "));
    if (step === undefined || !Object.hasOwn(settled, step)) continue;
    const state = observed.find((one) => one.id === `crash/${name}`)?.state;
    assert.equal(state, settled[step], `${name} after "${step}"; ${context}`);
  }
}

/** Opens the host as the next manager would, and looks at all that is there. */
async function checkHost(
  options: TaskDriverOptions,
  said: readonly string[],
  context: string,
): Promise<void> {
  const driver = new TaskDriver({ ...options, poolSize: 0 });
  try {
    await driver.recover(signal);
    const observed = driver.observe();
    check(said, observed, context);
    const slots = readdirSync(join(options.stateDir, "slots")).length;
    assert.equal(slots, observed.length, `slots; ${context}`);
    assert.equal(cgroups.open(options.cgroupParent).children().length, slots, `groups; ${context}`);
    const namespaces = traces(options).filter((trace) => trace.startsWith("namespace"));
    assert.equal(namespaces.length, slots, `namespaces ${namespaces.join(", ")}; ${context}`);
    for (const one of observed.filter(({ state }) => state === "running")) {
      const command = ["true"];
      assert.equal(await driver.exec(one.id, { command, env: {}, onOutput: () => {} }, signal), 0, context);
    }
  } finally {
    await driver.close();
  }
}

test(`a manager killed at any moment, ${rounds} times over, loses nothing and leaves nothing`, async () => {
  const options = hostOptions();
  try {
    for (let round = 0; round < rounds; round += 1) {
      const lifeMs = (round * 7) % 50;
      const said = await killedManager(options, round, lifeMs);
      await checkHost(options, said, `round ${round}: ${said.slice(-6).join(", ")}`);
    }
  } finally {
    const driver = new TaskDriver(options);
    await driver.recover(signal);
    await clearHost(driver, options);
  }
});

const always = { when: "always", backoffMsMin: millis(5), backoffMsMax: millis(5) } as const;

function supervisorOf(options: TaskDriverOptions): number {
  return Number(readFileSync(join(options.stateDir, "slots/0/pid"), "utf8").split(" ")[0]);
}

async function networkOf(driver: TaskDriver, observed: ApplianceObservation): Promise<string> {
  let output = "";
  const onOutput = (_: string, chunk: Uint8Array): void => {
    output += Buffer.from(chunk).toString();
  };
  const command = ["readlink", "/proc/self/ns/net"];
  assert.equal(await driver.exec(observed.id, { command, env: {}, onOutput }, signal), 0);
  return output;
}

test("a supervisor killed from outside is made anew in the same network namespace", async () => {
  await using host = await taskHost();
  const plan = conformancePlan({ command: programs.stays(), restart: always });
  await host.driver.create(plan, new Map(), signal);
  await host.driver.start(plan.id, signal);
  const [first] = host.driver.observe();
  assert.ok(first !== undefined);
  const network = await networkOf(host.driver, first);
  process.kill(supervisorOf(host.options), "SIGKILL");
  const again = await whenSeen(host.driver, plan.id, (one) => one.restarts === 1 && one.state === "running");
  assert.equal(await networkOf(host.driver, again), network);
});

test("what ended while no manager was there is noticed by the next one", async () => {
  await using host = await taskHost();
  const plan = conformancePlan({ command: programs.stays(), restart: always });
  await host.driver.create(plan, new Map(), signal);
  await host.driver.start(plan.id, signal);
  await host.driver.close();
  process.kill(supervisorOf(host.options), "SIGKILL");
  const driver = (await host.reopen()) as TaskDriver;
  const seen = await whenSeen(driver, plan.id, (one) => one.restarts === 1 && one.state === "running");
  assert.equal(seen.generation, plan.generation);
});

test("a stranger that got a supervisor's number is not taken for it", async () => {
  await using host = await taskHost();
  const plan = conformancePlan({ command: programs.stays() });
  await host.driver.create(plan, new Map(), signal);
  await host.driver.start(plan.id, signal);
  await host.driver.close();
  const pid = supervisorOf(host.options);
  process.kill(pid, "SIGKILL");
  writeFileSync(join(host.options.stateDir, "slots/0/pid"), `${process.pid} 1\n`);
  const driver = await host.reopen();
  assert.equal(driver.observe()[0]?.state, "failed");
  await driver.destroy(plan.id, signal);
  assert.ok(process.kill(process.pid, 0));
});
