import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { labDown, labStatus, labUp } from "#lab/lab.ts";
import { inNode } from "./measure.ts";
import { plainTopology, realMachine } from "./machine.ts";
import { marksOf, rootNetwork } from "./marks.ts";

const { signal } = new AbortController();
const machine = realMachine();
const root = mkdtempSync(`${tmpdir()}/consort-lab-kill-`);
const place = { name: "testkill", stateRoot: `${root}/state`, runRoot: `${root}/run`, machine };
const topology = plainTopology({ sites: 2, hostsPerSite: 2, wanLatencyUs: 1000 });
const up = () => labUp({ ...place, topology, managers: false }, signal);
const rounds = Number(process.env["CONSORT_KILL_ROUNDS"] ?? 24);
const seed = Number(process.env["CONSORT_SEED"] ?? machine.random.integer(2 ** 31));
/** A little more than either command takes on a busy machine, Node's own start included. */
const killWithinMs = { up: 600, down: 250 };

before(() => labDown(place, signal));
after(async () => {
  await labDown(place, signal);
  rmSync(root, { recursive: true, force: true });
});

async function killedAfter(command: "up" | "down", delayMs: number, managers = ""): Promise<void> {
  const args = [`${import.meta.dirname}/lab-command.child.ts`, command, place.name, place.stateRoot];
  const child = spawn(process.execPath, [...args, place.runRoot, managers], { stdio: "inherit" });
  const ended = once(child, "exit");
  const late = machine.clock.sleep(millis(delayMs), signal).then(() => child.kill("SIGKILL"));
  await Promise.all([ended, late]);
}

test(`a lab killed at random moments is completed by \`up\` and removed by \`down\` (CONSORT_SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  const network = await rootNetwork(machine, signal);
  for (let round = 0; round < rounds; round += 1) {
    const delay = { up: random.integer(killWithinMs.up), down: random.integer(killWithinMs.down) };
    const story = `round ${round}, seed ${seed}: up killed after ${delay.up} ms, down after ${delay.down} ms`;
    await killedAfter("up", delay.up);
    if (random.integer(2) === 0) {
      await up();
      const ping = await inNode(place.name, "s1h1", ["ping", "-c1", "-W5", "172.30.2.12"]);
      assert.equal(ping.code, 0, `${story}: ${ping.stdout}`);
    }
    if (random.integer(2) === 0) await killedAfter("down", delay.down);
    await labDown(place, signal);
    assert.deepEqual(marksOf(place, machine), [], story);
  }
  assert.deepEqual(await rootNetwork(machine, signal), network);
});

test(`the same with managers in it (CONSORT_SEED=${seed})`, async () => {
  const random = seededRandom(seed);
  for (let round = 0; round < rounds / 6; round += 1) {
    const delay = random.integer(4 * killWithinMs.up);
    await killedAfter("up", delay, "managers");
    if (random.integer(2) === 0) await killedAfter("down", random.integer(killWithinMs.down));
    await labDown(place, signal);
    assert.deepEqual(
      marksOf(place, machine),
      [],
      `round ${round}, seed ${seed}: up killed after ${delay} ms`,
    );
  }
});

const relayPid = (): number | undefined => labStatus(place).programs[0]?.process?.pid;

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(20_000);
  while (!holds()) {
    if (deadline.aborted) throw new Error(`${what}: not within 20 s\n${supervisorLog()}`);
    await machine.clock.sleep(millis(5), signal);
  }
}

function supervisorLog(): string {
  return readFileSync(`${labStatus(place).stateDir}/logs/supervisor.log`, "utf8");
}

test("a program that dies is started again; one that outlives its supervisor is adopted, not doubled", async () => {
  await up();
  const first = relayPid();
  assert.ok(first !== undefined);
  process.kill(first, "SIGKILL");
  let second: number | undefined;
  await until("the relay runs again", () => ![undefined, first].includes((second = relayPid())));

  const supervisor = labStatus(place).supervisor?.pid ?? 0;
  assert.ok(supervisor > 1);
  process.kill(supervisor, "SIGKILL");
  await until("the supervisor is gone", () => labStatus(place).supervisor === undefined);
  assert.equal(relayPid(), second, "the relay lives on");

  await up();
  await until("adopted", () => supervisorLog().includes(`"pid":${second}`));
  assert.equal(relayPid(), second);

  process.kill(second ?? 0, "SIGKILL");
  await until("an adopted program is started again too", () => ![undefined, second].includes(relayPid()));
  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
});

test("a supervisor that is told to end leaves its programs alone", async () => {
  await up();
  const relay = relayPid();
  process.kill(labStatus(place).supervisor?.pid ?? 0, "SIGTERM");
  await until("the supervisor ends", () => labStatus(place).supervisor === undefined);
  assert.equal(relayPid(), relay);
  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
});

test("`down` leaves nothing when the supervisor was killed before", async () => {
  await up();
  process.kill(labStatus(place).supervisor?.pid ?? 0, "SIGKILL");
  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
});
