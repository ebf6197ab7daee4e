import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { messageOf } from "#base/errors.ts";
import type { Random } from "#base/runtime.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { ensembleDocument } from "#formats/ensemble-document.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { EnsembleStatus } from "#protocol/http/status.ts";
import { machineFacts } from "../rig/machine-facts.ts";
import { startRig } from "../rig/rig.ts";
import type { Rig } from "../rig/rig.ts";
import { differences } from "./check.ts";
import type { Place } from "./found.ts";
import { killAllManagers, killOne } from "./victims.ts";
import { watchForTwice } from "./twice.ts";
import { after, ensembleOf, nextStep } from "./workload.ts";
import type { Step, World } from "./workload.ts";

/**
 * Whatever is killed, whenever, during whatever change: what was acknowledged is there, and nothing else is. How it
 * ends is read from the kernel. CONSORT_CHAOS_KILLS sets how many kills at least, CONSORT_SEED repeats a run.
 */
const seed = Number(process.env["CONSORT_SEED"] ?? systemRandom().integer(2 ** 31));
const killsWanted = Number(process.env["CONSORT_CHAOS_KILLS"] ?? 300);
const lab = "chaos";
/** Kills of a round happen within this time: long enough to meet managers that are just starting again. */
const killWindowMs = 900;
const killsPerRound = 6;
/** The request is made some time in the first part of it, and every second kill is close to that moment. */
const requestWithinMs = 300;
const closeMs = 25;
/** Of so many kills one takes all managers together. */
const allAtOnceOneIn = 40;
/** Not a limit on how quick it is, only on how long a hopeless wait lasts. */
const hopelessMs = 45_000;
const pollMs = millis(100);
const clock = systemClock();

test(`nothing is lost and nothing left, whatever is killed at whatever moment (CONSORT_SEED=${seed})`, async (context) => {
  const before = await machineFacts(lab);
  const rig = await startRig(lab, defaultLabTopology(2, 2), context.signal);
  const place: Place = {
    lab,
    stateDir: rig.stateDir,
    hosts: ["a1", "a2", "b1", "b2"],
    gateways: ["gw-alpha", "gw-beta"],
  };
  try {
    await converged("the empty lab", rig, place, new Map());
    await using watch = watchForTwice(lab, place.hosts);
    const world = await chaos(rig, place, watch.found, context);
    await removeAll(rig, place, world);
  } finally {
    await rig.close();
  }
  assert.deepEqual(await machineFacts(lab), before, "the machine is as it was");
});

async function chaos(rig: Rig, place: Place, twice: readonly string[], context: TestContext): Promise<World> {
  const random = seededRandom(seed);
  let world: World = new Map();
  let kills = 0;
  for (let round = 1; kills < killsWanted; round += 1) {
    const step = nextStep(world, round, random);
    const requestAt = random.integer(requestWithinMs);
    const [outcome, killed] = await Promise.all([attempt(rig, step, requestAt), killSome(requestAt, random)]);
    kills += killed.length;
    const story = `round ${round}, seed ${seed}: ${step.what} at ${requestAt} ms, ${outcome}; killed ${killed.join(", ")}`;
    if (killed.some((role) => role.startsWith("supervisor"))) await rig.repair(context.signal);
    if (outcome === "accepted" || (await isThere(story, rig, step, world))) world = after(world, step);
    const began = clock.monotonic();
    await converged(story, rig, place, world);
    assert.deepEqual(twice, [], `${story}: an appliance ran twice`);
    context.diagnostic(`${story}; converged after ${Math.round(clock.monotonic() - began)} ms`);
  }
  context.diagnostic(`${kills} kills`);
  return world;
}

/** accepted: the manager said so. Otherwise what it said, or that it said nothing. */
async function attempt(rig: Rig, step: Step, atMs: number): Promise<string> {
  const { signal } = new AbortController();
  await clock.sleep(millis(atMs), signal);
  try {
    if (step.kind === "down") await rig.client().request("DELETE", `/v1/ensembles/${step.name}`, signal);
    else {
      const path = `/v1/ensembles/${step.declared.name}`;
      await rig.client().request("PUT", path, signal, ensembleDocument(ensembleOf(step.declared)));
    }
    return "accepted";
  } catch (cause) {
    return messageOf(cause);
  }
}

async function killSome(requestAt: number, random: Random): Promise<string[]> {
  const count = 1 + random.integer(killsPerRound);
  const moments = Array.from({ length: count }, () =>
    random.integer(2) === 0 ? requestAt + random.integer(closeMs) : random.integer(killWindowMs),
  ).sort((a, b) => a - b);
  const began = clock.monotonic();
  const killed: string[] = [];
  for (const moment of moments) {
    const wait = millis(Math.max(0, moment - (clock.monotonic() - began)));
    await clock.sleep(wait, new AbortController().signal);
    const all = random.integer(allAtOnceOneIn) === 0;
    const roles = all ? killAllManagers(lab) : killOne(lab, random);
    killed.push(...roles.map((role) => `${role} at ${moment} ms`));
  }
  return killed;
}

/** Whether a change nobody acknowledged was made all the same; either is right, anything between is not. */
async function isThere(story: string, rig: Rig, step: Step, world: World): Promise<boolean> {
  const name = step.kind === "down" ? step.name : step.declared.name;
  const before = world.get(name);
  const status = await answered(story, () =>
    rig.client().request<EnsembleStatus[]>("GET", "/v1/ensembles", new AbortController().signal),
  );
  const known = status.find((one) => one.name === name);
  if (step.kind === "down") return known === undefined || known.state === "removing";
  if (known === undefined) return false;
  const document = await answered(story, () =>
    rig.client().request("GET", `/v1/ensembles/${name}/document`, new AbortController().signal),
  );
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
  const is = (declared: Parameters<typeof ensembleOf>[0]): boolean =>
    JSON.stringify(plain(ensembleDocument(ensembleOf(declared)))) === JSON.stringify(plain(document));
  if (is(step.declared)) return true;
  assert.ok(before !== undefined && is(before), `${story}: ${name} is neither as before nor as asked for`);
  return false;
}

async function answered<Answer>(story: string, ask: () => Promise<Answer>): Promise<Answer> {
  const began = clock.monotonic();
  for (;;) {
    try {
      return await ask();
    } catch (cause) {
      if (clock.monotonic() - began > hopelessMs) throw new Error(`${story}: no answer`, { cause });
    }
    await clock.sleep(pollMs, new AbortController().signal);
  }
}

/** Until the kernel has what was declared and the managers know it. */
async function converged(story: string, rig: Rig, place: Place, world: World): Promise<void> {
  const began = clock.monotonic();
  for (;;) {
    const problems = await differences(place, world).catch((cause: unknown) => [
      `not to be read: ${messageOf(cause)}`,
    ]);
    // Nobody but a user starts the lab's supervisor again.
    if (problems.includes("managers: lacks supervisor")) await rig.repair(new AbortController().signal);
    if (problems.length === 0) problems.push(...(await managersView(rig, world)));
    if (problems.length === 0) return;
    if (clock.monotonic() - began > hopelessMs) {
      assert.fail(`${story}\nnever converged:\n  ${problems.join("\n  ")}\n${troubles(place)}`);
    }
    await clock.sleep(pollMs, new AbortController().signal);
  }
}

/** The last words of every manager that are more than news. */
function troubles({ stateDir }: Place): string {
  return readdirSync(`${stateDir}/logs`)
    .map((file) => {
      const lines = readFileSync(`${stateDir}/logs/${file}`, "utf8").split("\n");
      return [file, ...lines.filter((line) => !line.includes('"level":"info"')).slice(-12)].join("\n  ");
    })
    .join("\n");
}

async function managersView(rig: Rig, world: World): Promise<string[]> {
  const { signal } = new AbortController();
  try {
    const known = await rig.client().request<EnsembleStatus[]>("GET", "/v1/ensembles", signal);
    const operations = await rig.client().request<Operation[]>("GET", "/v1/operations", signal);
    const names = known.map(({ name }) => name).sort();
    return [
      ...(names.join() === [...world.keys()].sort().join() ? [] : [`the managers know ${names.join()}`]),
      ...known
        .filter(({ state }) => state !== "running")
        .map(({ name, state, message = "" }) => `${name} is ${state} to the managers: ${message}`),
      ...operations
        .filter(({ state }) => state === "running")
        .map(
          ({ id, kind, ensemble, message }) => `operation ${id} (${kind} ${ensemble}) goes on: ${message}`,
        ),
    ];
  } catch (cause) {
    return [messageOf(cause)];
  }
}

async function removeAll(rig: Rig, place: Place, world: World): Promise<void> {
  const { signal } = new AbortController();
  for (const name of world.keys()) await rig.down(name, signal);
  await converged("after the down of everything", rig, place, new Map());
  const kept = readdirSync(`${place.stateDir}/hosts`).filter((host) =>
    statSync(`${place.stateDir}/hosts/${host}/tunnels/tunnels.json`, { throwIfNoEntry: false }),
  );
  assert.deepEqual(kept, [], "no tunnel is on record");
}
