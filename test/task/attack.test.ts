import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { seededRandom } from "#base/seeded-random.ts";
import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { TaskDriver } from "#drivers/appliance/task/driver.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { tableFile } from "#drivers/scheduling/table/file.ts";
import { capacityMilli, openAttacked } from "./attack-plan.ts";
import type { AttackedPlace } from "./attack-plan.ts";
import { cgroups, clearHost, clock, hostOptions, signal } from "./host.ts";

/**
 * Random changes of reservations, suspensions and ends by a manager, while managers, dispatchers, watchdogs and
 * supervisors are killed, together or one by one. `CONSORT_ATTACK_SECONDS=600` for long, `CONSORT_SEED` to repeat.
 */
const seconds = Number(process.env["CONSORT_ATTACK_SECONDS"] ?? 12);
const seed = Number(process.env["CONSORT_SEED"] ?? Date.now() % 2 ** 31);
const managerProgram = fileURLToPath(new URL("attack-manager.ts", import.meta.url));
/** Only to end with a reason instead of waiting for ever. */
const patienceMs = 30_000;
const roundsMin = 3;

type Manager = { readonly child: ChildProcess; readonly said: string[] };

async function startManager(place: AttackedPlace, managerSeed: number): Promise<Manager> {
  const { runDir, stateDir, cgroupParent, netnsPrefix } = place;
  const args = [managerProgram, String(managerSeed), runDir, stateDir, cgroupParent, netnsPrefix];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const said: string[] = [];
  const ready = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    said.push(line);
    ready.resolve();
  });
  await Promise.race([ready.promise, once(child, "exit")]);
  assert.equal(child.exitCode, null, `the manager ended by itself; seed ${seed}`);
  return { child, said };
}

/** Processes other than this one that share the dispatch table: the dispatcher and its watchdog, and managers. */
function holdersOf(runDir: string): number[] {
  const table = tableFile(join(runDir, "scheduling/table"));
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
        return [...open, readFileSync(`/proc/${pid}/maps`, "utf8")].some((text) => text.includes(table));
      } catch {
        return false;
      }
    })
    .map(Number);
}

function supervisorsOf({ stateDir }: AttackedPlace): number[] {
  const slots = join(stateDir, "slots");
  if (!existsSync(slots)) return [];
  return readdirSync(slots).flatMap((slot) => {
    try {
      const [pid, startTime] = readFileSync(join(slots, slot, "pid"), "utf8")
        .trim()
        .split(" ");
      // Nothing is in it yet, or the number is another one's since: 0 would be everybody in our own group of processes.
      const lives = startTime !== undefined && readStartTime(Number(pid)) === startTime;
      return lives ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}

function kill(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself, or with another one.
  }
}

/** Waits, and tells of what it waited for in vain. */
async function until(what: () => string, holds: () => boolean): Promise<void> {
  const deadline = clock.monotonic() + patienceMs;
  while (!holds()) {
    assert.ok(clock.monotonic() < deadline, `${what()}; seed ${seed}`);
    await clock.sleep(millis(5), signal);
  }
}

const usedBy = (driver: TaskDriver, id: ApplianceId): number | undefined => {
  const one = driver.observe().find((seen) => seen.id === id);
  return one?.state === "running" ? one.cpuUsedMs : undefined;
};

/** Nothing is promised twice, all that runs moves, whether or not it is dispatched, and nothing else does. */
async function check(place: AttackedPlace): Promise<void> {
  const { driver, scheduler } = await openAttacked(place);
  try {
    const observed = driver.observe();
    const promised = observed.reduce(
      (sum, { cpu }) => sum + (cpu?.kind === "reservation" ? (cpu.executionUs * 1000) / cpu.periodUs : 0),
      0,
    );
    assert.ok(promised <= capacityMilli, `${promised} of ${capacityMilli} are promised; seed ${seed}`);
    for (const { id, state } of observed.filter((one) => one.state === "running")) {
      const before = usedBy(driver, id) ?? 0;
      const moves = (): boolean => (usedBy(driver, id) ?? Infinity) > before;
      await until(() => `${id} is ${state} and stands still`, moves);
    }
    for (const one of driver.observe().filter(({ state }) => state === "suspended")) {
      const now = driver.observe().find(({ id }) => id === one.id);
      if (now?.state === "suspended")
        assert.ok(now.cpuUsedMs - one.cpuUsedMs < 5, `${one.id} runs; seed ${seed}`);
    }
  } finally {
    await driver.close();
    await scheduler.close();
  }
}

test(`reservations are safe under attack, for ${seconds} s`, async () => {
  const options = hostOptions();
  const { stateDir, cgroupParent, netnsPrefix } = options;
  const runDir = `/run/${cgroupParent}`;
  const place = { runDir, stateDir, cgroupParent, netnsPrefix };
  const random = seededRandom(seed);
  const endsAt = clock.monotonic() + seconds * 1000;
  let rounds = 0;
  try {
    for (; clock.monotonic() < endsAt || rounds < roundsMin; rounds += 1) {
      const manager = await startManager(place, random.integer(2 ** 31));
      const gone = once(manager.child, "exit");
      for (let kills = random.integer(4); kills >= 0; kills -= 1) {
        await clock.sleep(millis(50 + random.integer(500)), signal);
        const victims = [...holdersOf(runDir), ...supervisorsOf(place)].filter(
          (pid) => pid !== manager.child.pid,
        );
        for (const victim of victims) if (random.integer(3) === 0) kill(victim);
      }
      // In one moment, in any combination, or one after the other.
      if (random.integer(2) === 0)
        for (const pid of holdersOf(runDir)) if (random.integer(2) === 0) kill(pid);
      manager.child.kill("SIGKILL");
      await gone;
      assert.deepEqual(manager.said, ["ready"], `seed ${seed}`);
      // Every other time the next manager is the one that finds what is left.
      if (random.integer(2) === 0) await check(place);
    }
    await check(place);
  } finally {
    const { driver, scheduler } = await openAttacked(place);
    await clearHost(driver, options);
    await scheduler.close();
    const left = holdersOf(runDir);
    rmSync(tableFile(join(runDir, "scheduling/table")), { force: true });
    rmSync(runDir, { recursive: true, force: true });
    assert.deepEqual(left, [], `processes are left; seed ${seed}`);
    assert.equal(cgroups.open(cgroupParent).exists(), false);
  }
});
