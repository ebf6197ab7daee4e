import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { micros } from "#base/units.ts";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import type { EnforcedMachine } from "#drivers/scheduling/port.ts";
import { TableEnforcer } from "#drivers/scheduling/table/enforcer.ts";
import { tableFile } from "#drivers/scheduling/table/file.ts";
import { TableMemory, word } from "#drivers/scheduling/table/memory.ts";
import { GroupWeights } from "#drivers/scheduling/weights.ts";
import { BusyMachines, anyProcessor, cgroups, layout, log, settled, tableOf, traces, until } from "./rig.ts";

const ownerProgram = fileURLToPath(new URL("owner.child.ts", import.meta.url));

function enforcerOf(machines: BusyMachines): TableEnforcer {
  return new TableEnforcer({
    directory: machines.directory,
    layout,
    weights: new GroupWeights(layout, machines.mark),
    endsWithOwner: false,
    processors: [anyProcessor],
    log,
  });
}

const names = ["one", "two", "three"];
const two = names.slice(1);
/** So that what the kernel has of real-time priority suffices, whoever else has some. */
const manySlots = 20;

/** Machines, each with one slot of so many, that are dispatched when this resolves. */
async function dispatched(
  busy: BusyMachines,
  enforcer: TableEnforcer,
  ids: readonly string[] = names,
  slots = ids.length,
): Promise<readonly EnforcedMachine[]> {
  const machines = ids.map((id): EnforcedMachine => {
    const cgroup = busy.cgroup(id);
    return {
      id,
      reservation: { periodUs: micros(10_000 * slots), executionUs: micros(10_000) },
      policy: "together",
      jobs: [busy.job(id)],
      teams: [],
      suspended: false,
      ...(cgroup === undefined ? {} : { cgroup }),
    };
  });
  enforcer.apply(machines, tableOf(machines, slots));
  await settled(enforcer);
  return machines;
}

const heldNow = (busy: BusyMachines): readonly string[] => names.filter((name) => busy.isStopped(name));

function memoryOf(enforcer: TableEnforcer): TableMemory {
  assert.ok(enforcer.memory !== undefined, "it has no table");
  return enforcer.memory;
}

const alive = (pid: number): boolean => pid > 0 && readStartTime(pid) !== undefined;

test("of three machines on one processor two are stopped at any time", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  await dispatched(busy, enforcer);
  await until(() => heldNow(busy).length === 2);
  await enforcer.close();
  assert.deepEqual(heldNow(busy), []);
});

test("until its dispatcher is up, and whenever that is lost, a machine gets no more than what is reserved", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  const isHeld = (): boolean => busy.limit("one") === 1 / names.length;
  const isWithin = (): boolean => busy.limit("one") === 1.1;
  const dispatching = dispatched(busy, enforcer);
  assert.ok(isHeld(), "it may run without limits");
  await dispatching;
  await until(isWithin);
  const { pid } = memoryOf(enforcer).dispatcher();
  process.kill(pid, "SIGKILL");
  await until(isHeld);
  await until(isWithin);
  await enforcer.close();
  assert.ok(busy.isFree("one"));
});

test("in their slots machines come before all that is ordinary, with what they start, until they are let go", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  const machines = await dispatched(busy, enforcer, two, manySlots);
  await until(() => two.every((name) => busy.comesFirst(name)));
  const job = machines[0]?.jobs[0];
  assert.ok(job?.kind === "cgroup");
  const late = spawn("perl", ["-e", "<STDIN>; fork; 1 while 1"], { stdio: ["pipe", "ignore", "ignore"] });
  const group = cgroups.open(job.path);
  group.attach(late.pid ?? 0);
  // What it starts is in the group only from now on.
  late.stdin.end("\n");
  await until(() => group.pids().length === 3);
  await until(() => busy.comesFirst("two"));
  const rest = machines.slice(1);
  enforcer.apply(rest, tableOf(rest, manySlots));
  assert.ok(busy.isFree("two"), "who was let go is still held");
  await enforcer.close();
  assert.ok(busy.isFree("three"), "at its end it holds somebody");
  group.killAll();
});

test("without the dispatcher nobody comes before all that is ordinary", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  await dispatched(busy, enforcer, two, manySlots);
  await until(() => two.every((name) => busy.comesFirst(name)));
  const memory = memoryOf(enforcer);
  // Held still, its watchdog does nothing about it: that is left to the owner.
  process.kill(Atomics.load(memory.header, word.watchdogPid), "SIGSTOP");
  process.kill(memory.dispatcher().pid, "SIGKILL");
  await enforcer.close();
  assert.ok(
    two.every((name) => busy.isFree(name)),
    "it holds somebody without a dispatcher",
  );
});

test("a dispatcher that is killed leaves nobody stopped, and another one follows", async () => {
  for (const asProcesses of [false, true]) {
    await using busy = new BusyMachines({ asProcesses });
    const enforcer = enforcerOf(busy);
    await dispatched(busy, enforcer);
    const memory = memoryOf(enforcer);
    const { pid } = memory.dispatcher();
    process.kill(pid, "SIGKILL");
    await until(() => heldNow(busy).length === 0);
    await until(() => memory.dispatcher().pid !== pid && alive(memory.dispatcher().pid));
    await settled(enforcer);
    await until(() => heldNow(busy).length === 2);
    await enforcer.close();
    assert.deepEqual(heldNow(busy), []);
  }
});

test("a dispatcher that hangs is noticed by its watchdog, and killed", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  await dispatched(busy, enforcer);
  const { pid } = memoryOf(enforcer).dispatcher();
  process.kill(pid, "SIGSTOP");
  await until(() => !alive(pid));
  await until(() => heldNow(busy).length === 0);
  await enforcer.close();
});

test("a watchdog that is killed is replaced, and the new one does the same", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  await dispatched(busy, enforcer);
  const memory = memoryOf(enforcer);
  const watchdog = (): number => Atomics.load(memory.header, word.watchdogPid);
  await until(() => Atomics.load(memory.header, word.watchdogHeartbeat) > 0);
  const first = watchdog();
  process.kill(first, "SIGKILL");
  await until(() => watchdog() !== first && alive(watchdog()));
  const looks = Atomics.load(memory.header, word.watchdogHeartbeat);
  await until(() => Atomics.load(memory.header, word.watchdogHeartbeat) !== looks);
  process.kill(memory.dispatcher().pid, "SIGKILL");
  await until(() => heldNow(busy).length === 0);
  await enforcer.close();
});

test("when dispatcher and watchdog are killed at once their owner continues what they had stopped", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  await dispatched(busy, enforcer);
  const memory = memoryOf(enforcer);
  const watchdog = Atomics.load(memory.header, word.watchdogPid);
  process.kill(watchdog, "SIGSTOP");
  process.kill(memory.dispatcher().pid, "SIGKILL");
  process.kill(watchdog, "SIGKILL");
  await until(() => heldNow(busy).length === 0);
  await enforcer.close();
  assert.deepEqual(traces(busy), []);
});

/** As `dispatched`, by a process of its own. */
async function withOwner(
  busy: BusyMachines,
  endsWithOwner: boolean,
): Promise<{ owner: ReturnType<typeof spawn>; groups: readonly string[] }> {
  const groups = names.map((name) => {
    const job = busy.job(name);
    assert.ok(job.kind === "cgroup");
    return job.path;
  });
  const args = [ownerProgram, busy.directory, busy.mark, endsWithOwner ? "yes" : "no", ...groups];
  const owner = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(owner.stdout !== null);
  await once(owner.stdout, "data");
  return { owner, groups };
}

async function killed(owner: ReturnType<typeof spawn>): Promise<void> {
  const exit = once(owner, "exit");
  owner.kill("SIGKILL");
  await exit;
}

test("an owner that is killed does not disturb the dispatcher, and the next one takes it over", async () => {
  await using busy = new BusyMachines();
  const { owner, groups } = await withOwner(busy, false);
  await killed(owner);
  const memory = TableMemory.open(tableFile(busy.directory));
  const before = memory.dispatcher();
  const begun = Atomics.load(memory.header, word.begun);
  await until(() => Atomics.load(memory.header, word.begun) > begun + 10);
  const next = enforcerOf(busy);
  const kept = groups.slice(0, 2).map((path): EnforcedMachine => ({
    id: path,
    reservation: { periodUs: micros(20_000), executionUs: micros(10_000) },
    policy: "together",
    jobs: [{ kind: "cgroup", path }],
    teams: [],
    suspended: false,
  }));
  next.apply(kept, tableOf(kept));
  await settled(next);
  assert.deepEqual(memory.dispatcher(), before);
  assert.equal(busy.isStopped("three"), false);
  await until(() => busy.isStopped("one"));
  await next.close();
  memory.close();
  assert.deepEqual(heldNow(busy), []);
});

test("without owner and dispatcher the watchdog continues all, and nobody comes before others any more", async () => {
  await using busy = new BusyMachines();
  const { owner } = await withOwner(busy, false);
  await killed(owner);
  const memory = TableMemory.open(tableFile(busy.directory));
  assert.notEqual(busy.weight(), busy.usualWeight);
  assert.ok(names.some((name) => busy.comesFirst(name)));
  process.kill(memory.dispatcher().pid, "SIGKILL");
  await until(() => heldNow(busy).length === 0);
  await until(() => busy.weight() === busy.usualWeight);
  await until(() => names.every((name) => busy.isFree(name)));
  memory.close();
  const next = enforcerOf(busy);
  next.apply([], tableOf([]));
  await next.close();
  assert.deepEqual(traces(busy), []);
});

test("where it is to end with its owner, nothing of it is left after that one's death", async () => {
  await using busy = new BusyMachines();
  const { owner } = await withOwner(busy, true);
  assert.notEqual(busy.weight(), busy.usualWeight);
  await killed(owner);
  await until(() => traces(busy).length === 0);
  await until(() => busy.weight() === busy.usualWeight);
  await until(() => names.every((name) => busy.isFree(name)));
  assert.equal(existsSync(dirname(busy.directory)), false);
  assert.deepEqual(heldNow(busy), []);
});

test("a link where the table is to be is not followed", async () => {
  await using busy = new BusyMachines();
  const secret = `${dirname(busy.directory)}/secret`;
  writeFileSync(secret, "kept", { mode: 0o600 });
  symlinkSync(secret, tableFile(busy.directory));
  const enforcer = enforcerOf(busy);
  await dispatched(busy, enforcer);
  assert.equal(readFileSync(secret, "utf8"), "kept");
  assert.equal(lstatSync(tableFile(busy.directory)).isFile(), true);
  await enforcer.close();
  assert.deepEqual(traces(busy), []);
});

test("a dispatcher whose directory is removed lets all go and ends", async () => {
  await using busy = new BusyMachines();
  const { owner } = await withOwner(busy, false);
  await killed(owner);
  const table = tableFile(busy.directory);
  const frozen = join(layout.v1.freezer ?? "", basename(table));
  assert.equal(existsSync(frozen), layout.v1.freezer !== undefined);
  const memory = TableMemory.open(table);
  const { pid } = memory.dispatcher();
  rmSync(busy.directory, { recursive: true });
  await until(() => !alive(pid));
  memory.close();
  assert.deepEqual(heldNow(busy), []);
  assert.equal(existsSync(frozen), false, "the group that keeps freezing quick is left");
});

test("a group that vanishes disturbs nobody else", async () => {
  await using busy = new BusyMachines();
  const enforcer = enforcerOf(busy);
  await dispatched(busy, enforcer);
  const memory = memoryOf(enforcer);
  const { pid } = memory.dispatcher();
  const gone = cgroups.open(`${busy.mark}/two`);
  gone.killAll();
  await gone.remove(new AbortController().signal);
  const begun = Atomics.load(memory.header, word.begun);
  await until(() => Atomics.load(memory.header, word.begun) > begun + 10);
  assert.equal(memory.dispatcher().pid, pid);
  await until(() => busy.isStopped("one"));
  await until(() => busy.isStopped("three"));
  await enforcer.close();
  assert.deepEqual(heldNow(busy), []);
});

test("a process that took over the number of another one is left alone", async () => {
  await using busy = new BusyMachines({ asProcesses: true });
  const job = busy.job("stranger");
  assert.ok(job.kind === "process");
  const enforcer = enforcerOf(busy);
  const machine: EnforcedMachine = {
    id: "stranger",
    reservation: { periodUs: micros(20_000), executionUs: micros(10_000) },
    policy: "together",
    jobs: [{ ...job, startTime: "1" }],
    teams: [],
    suspended: true,
  };
  enforcer.apply([machine], tableOf([machine]));
  await settled(enforcer);
  assert.equal(busy.isStopped("stranger"), false);
  assert.equal(readFileSync(`/proc/${job.pid}/stat`, "latin1").split(" ")[18], "0");
  await enforcer.close();
});
