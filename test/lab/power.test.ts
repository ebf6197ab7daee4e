import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { labDown, labStatus, labUp } from "#lab/lab.ts";
import { netnsName, nodeCgroup } from "#lab/names.ts";
import { isNamespace } from "#lab/namespaces.ts";
import { pauseManager, powerOff, powerOn, resumeManager } from "#lab/power.ts";
import { inNode } from "./measure.ts";
import { plainTopology, realMachine } from "./machine.ts";
import { marksOf, rootNetwork } from "./marks.ts";

const { signal } = new AbortController();
const machine = realMachine();
const root = mkdtempSync(`${tmpdir()}/consort-lab-power-`);
const place = { name: "testpower", stateRoot: `${root}/state`, runRoot: `${root}/run`, machine };
const topology = plainTopology({ sites: 2, hostsPerSite: 2 });
const up = () => labUp({ ...place, topology }, signal);
const node = (name: string) => ({ ...place, node: name });
const rounds = Number(process.env["CONSORT_KILL_ROUNDS"] ?? 12);
const seed = Number(process.env["CONSORT_SEED"] ?? machine.random.integer(2 ** 31));

before(() => labDown(place, signal));
after(async () => {
  await labDown(place, signal);
  rmSync(root, { recursive: true, force: true });
});

const managerPid = (name: string): number | undefined =>
  labStatus(place).programs.find((program) => program.name === `host-${name}`)?.process?.pid;
const powerIn = (name: string) => labStatus(place).nodes.find(({ id }) => id === name)?.power;
/** With a second try: neighbours remember for a moment that one did not answer. */
const reaches = async (from: string, address: string): Promise<boolean> =>
  (await inNode(place.name, from, ["ping", "-c3", "-i0.4", "-W2", address])).code === 0;

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(30_000);
  while (!holds()) {
    if (deadline.aborted) throw new Error(`${what}: not within 30 s`);
    await machine.clock.sleep(millis(10), signal);
  }
}

/** The lab's supervisor has had its chance to start what it keeps: it has started another that died later. */
async function supervisorLooked(): Promise<void> {
  const other = managerPid("s2h2");
  assert.ok(other !== undefined);
  process.kill(other, "SIGKILL");
  await until("another manager is started again", () => ![undefined, other].includes(managerPid("s2h2")));
}

test("a host that is powered off is gone with all it had, stays off, and comes back as after a reboot", async () => {
  const untouched = await rootNetwork(machine, signal);
  await up();
  await until("its manager runs", () => managerPid("s1h1") !== undefined);
  await powerOff(node("s1h1"), signal);
  await powerOff(node("s1h1"), signal);
  assert.equal(managerPid("s1h1"), undefined);
  assert.equal(isNamespace(netnsName(place.name, "s1h1")), false);
  assert.equal(machine.cgroups.open(nodeCgroup(place.name, "s1h1")).exists(), false);
  await supervisorLooked();
  assert.equal(managerPid("s1h1"), undefined, "its manager was started again");
  assert.equal(labStatus(place).state, "up");
  assert.equal(await reaches("s1h2", "172.30.1.11"), false);

  await up();
  assert.equal(powerIn("s1h1"), "off", "`up` keeps it off");
  assert.ok(await reaches("s1h2", "172.30.2.11"), "the others are not disturbed");

  await powerOn(node("s1h1"), signal);
  await powerOn(node("s1h1"), signal);
  await until("its manager runs again", () => managerPid("s1h1") !== undefined);
  assert.ok(await reaches("s2h1", "172.30.1.11"));
  assert.equal(labStatus(place).state, "up");
  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
  assert.deepEqual(await rootNetwork(machine, signal), untouched);
});

test("a gateway that is powered off takes its site away, and brings it back", async () => {
  await up();
  await powerOff(node("s1gw"), signal);
  assert.equal(await reaches("s1h1", "172.30.2.11"), false);
  assert.ok(await reaches("s1h1", "172.30.1.12"));
  await up();
  await powerOn(node("s1gw"), signal);
  assert.ok(await reaches("s1h1", "172.30.2.11"));
});

test("a paused manager stands still until it is resumed", async () => {
  await up();
  await until("its manager runs", () => managerPid("s1h1") !== undefined);
  const pid = managerPid("s1h1");
  await pauseManager(node("s1h1"), signal);
  await pauseManager(node("s1h1"), signal);
  assert.equal(powerIn("s1h1"), "paused");
  await up();
  assert.equal(powerIn("s1h1"), "paused", "`up` leaves it so");
  await resumeManager(node("s1h1"), signal);
  assert.equal(powerIn("s1h1"), "on");
  assert.equal(managerPid("s1h1"), pid);
  await powerOff(node("s1h1"), signal);
  await assert.rejects(pauseManager(node("s1h1"), signal), { code: "conflict" });
  await assert.rejects(powerOff(node("router"), signal), { code: "not_found" });
  await labDown(place, signal);
  await assert.rejects(powerOff(node("s1h1"), signal), { code: "not_found" });
  assert.deepEqual(marksOf(place, machine), []);
});

async function killedAfter(state: "off" | "on", delayMs: number): Promise<void> {
  const child = spawn(
    process.execPath,
    [
      `${import.meta.dirname}/lab-command.child.ts`,
      state,
      place.name,
      place.stateRoot,
      place.runRoot,
      "s1h1",
    ],
    { stdio: "inherit" },
  );
  const ended = once(child, "exit");
  await Promise.all([ended, machine.clock.sleep(millis(delayMs), signal).then(() => child.kill("SIGKILL"))]);
}

test(`killed at any moment, power off and on are completed by asking again (CONSORT_SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  await up();
  for (let round = 0; round < rounds; round += 1) {
    const state = random.integer(2) === 0 ? "off" : "on";
    const delayMs = random.integer(400);
    const story = `round ${round}, seed ${seed}: ${state} killed after ${delayMs} ms`;
    await killedAfter(state, delayMs);
    if (random.integer(2) === 0) await up();
    if (random.integer(2) === 0) {
      await powerOff(node("s1h1"), signal);
      assert.equal(managerPid("s1h1"), undefined, story);
    } else {
      await powerOn(node("s1h1"), signal);
      assert.ok(await reaches("s1h2", "172.30.1.11"), story);
    }
    assert.ok(await reaches("s1h2", "172.30.2.11"), story);
  }
  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
});
