import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { codeOf, cpuAdapt, mebibytes, milliseconds, openTaskHost } from "consort/tasks";
import type { TaskHost, TaskHostOptions } from "consort/tasks";
import { busy, cpuMs, sharesOver, startOutside, stateOf, until } from "./processes.ts";

/** All competitors meet on one processor, so that what one gets another does not. */
const onOneProcessor: TaskHostOptions = {
  processors: [{ milli: 1000 }],
  cgroupParent: `consort-test-tasks-${process.pid}`,
};

const of40 = (executionMs: number) => ({
  periodUs: milliseconds(40),
  executionUs: milliseconds(executionMs),
});

const outside: { kill: (signal: "SIGKILL") => boolean }[] = [];
after(() => {
  for (const child of outside) child.kill("SIGKILL");
});

/** The dispatcher is a program of its own, and takes a moment to begin. */
const dispatched = (host: TaskHost): Promise<void> =>
  until("every machine's first slot", () => host.counters().every(({ dispatches = 0 }) => dispatches > 0));

/** Slots each was dispatched in, while all together were dispatched so often. */
async function slotsOver(total: number, host: TaskHost): Promise<ReadonlyMap<string, number>> {
  const counted = () => new Map(host.counters().map(({ id, dispatches = 0 }) => [id, dispatches]));
  const before = counted();
  const since = () => new Map([...counted()].map(([id, slots]) => [id, slots - (before.get(id) ?? 0)]));
  await until(`${total} slots`, () => [...since().values()].reduce((sum, slots) => sum + slots, 0) >= total);
  return since();
}

test("two machines get what is reserved for them, and after cpuAdapt() what they have then, while they run", async () => {
  await using host = await openTaskHost(onOneProcessor);
  const gold = host.createMachine({ name: "gold", cpu: of40(24), enforcement: "dispatch-table" });
  const rest = host.createMachine({ name: "best-effort", cpu: of40(8), enforcement: "dispatch-table" });
  const pids = [await gold.team.scheduler.start(busy), await rest.team.scheduler.start(busy)].map(
    ({ pid }) => pid,
  );
  await dispatched(host);
  const before = await slotsOver(200, host);
  assert.equal(Math.round((before.get("gold") ?? 0) / (before.get("best-effort") ?? 0)), 3, "24 ms to 8 ms");
  const [most = 0, least = 0] = await sharesOver(1200, pids);
  // On a machine that others use too, a process does not have all of its slots.
  assert.ok(most > 1.5 * least, `${most} and ${least} ms`);
  cpuAdapt(gold, rest, { x: of40(16), y: of40(16) });
  const later = await slotsOver(200, host);
  assert.equal(Math.round((later.get("gold") ?? 0) / (later.get("best-effort") ?? 0)), 1, "16 ms to 16 ms");
  assert.deepEqual(gold.getSchedParam(), of40(16));
});

test("setSchedParam() is refused when it would be too much, and nothing has changed", async () => {
  await using host = await openTaskHost(onOneProcessor);
  const gold = host.createMachine({ name: "gold", cpu: of40(24) });
  host.createMachine({ name: "best-effort", cpu: of40(8) });
  assert.throws(
    () => gold.setSchedParam(of40(36)),
    (error: Error) =>
      codeOf(error) === "unsatisfiable" && /largest feasible reservation is 32ms/.test(error.message),
  );
  assert.deepEqual(gold.getSchedParam(), of40(24));
  assert.throws(() => host.createMachine({ name: "third", cpu: of40(12) }), /third needs 12ms of every 40ms/);
  assert.deepEqual(
    host.vtmScheduler.getResources().map(({ name }) => name),
    ["gold", "best-effort"],
  );
});

test("a process that runs already is adopted, limited, and goes on where it was", async () => {
  const child = startOutside(busy);
  outside.push(child);
  const groupsBefore = readFileSync(`/proc/${child.pid}/cgroup`, "utf8");
  await using host = await openTaskHost(onOneProcessor);
  const machine = host.createMachine({ name: "adopter", cpu: of40(8), enforcement: "dispatch-table" });
  const job = machine.addResource(child.pid);
  await dispatched(host);
  const started = process.hrtime.bigint();
  const before = cpuMs(child.pid);
  assert.throws(() => machine.addResource(child.pid), /it is in a machine/);
  await until("a second", () => process.hrtime.bigint() - started > 1_000_000_000n);
  const elapsedMs = Number(process.hrtime.bigint() - started) / 1e6;
  const share = (cpuMs(child.pid) - before) / elapsedMs;
  assert.ok(share < 0.25 && share > 0, `it got ${share} of a processor, 0.2 are reserved`);
  machine.team.scheduler.removeResource(job);
  assert.equal(readFileSync(`/proc/${child.pid}/cgroup`, "utf8"), groupsBefore);
  const [freely = 0] = await sharesOver(200, [child.pid]);
  assert.ok(freely >= 200 && stateOf(child.pid) !== "T");
});

test("suspended, a machine and a single process hold still; resumed, they go on", async () => {
  await using host = await openTaskHost(onOneProcessor);
  const machine = host.createMachine({ name: "held", cpu: of40(20), enforcement: "dispatch-table" });
  const one = await machine.team.scheduler.start(busy);
  const other = await machine.team.scheduler.start(busy);
  await dispatched(host);
  machine.team.scheduler.suspend(one);
  await stillWhile(one.pid, () => sharesOver(200, [other.pid]));
  machine.suspend();
  const free = startOutside(busy);
  outside.push(free);
  await stillWhile(other.pid, () => sharesOver(200, [free.pid]));
  machine.resume();
  await sharesOver(50, [other.pid]);
  machine.team.scheduler.resume(one);
  await sharesOver(50, [one.pid]);
});

for (const enforcement of ["dispatch-table", "bandwidth"] as const) {
  test(`${enforcement}: a program started in a suspended machine does nothing before that is resumed`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "consort-test-held-"));
    after(() => rmSync(directory, { recursive: true, force: true }));
    const trace = join(directory, "trace");
    await using host = await openTaskHost(onOneProcessor);
    const machine = host.createMachine({ name: "held", cpu: of40(20), enforcement });
    const before = await machine.team.scheduler.start(busy);
    await sharesOver(50, [before.pid]);
    machine.suspend();
    const held = await machine.team.scheduler.start(["touch", trace]);
    const free = startOutside(busy);
    outside.push(free);
    await sharesOver(200, [free.pid]);
    assert.ok(!existsSync(trace), "it ran");
    machine.resume();
    assert.deepEqual(await held.ended, { code: 0, signal: undefined });
    assert.ok(existsSync(trace));
    await sharesOver(50, [before.pid]);
  });
}

/** What was stopped may have the rest of one slot. */
async function stillWhile(pid: number, others: () => Promise<unknown>): Promise<void> {
  const before = cpuMs(pid);
  await others();
  assert.ok(cpuMs(pid) - before < 20, `process ${pid} ran for ${cpuMs(pid) - before} ms`);
}

test("a team has its part of the machine, a process in it its own part of that", async () => {
  await using host = await openTaskHost(onOneProcessor);
  const machine = host.createMachine({ name: "whole", cpu: of40(32), enforcement: "dispatch-table" });
  const streams = machine.team.scheduler.createTeam("streams", { cpu: of40(24) });
  const [own, first, second] = [
    await machine.team.scheduler.start(busy),
    await streams.scheduler.start(busy),
    await streams.scheduler.start(busy),
  ];
  first.setSchedParam(of40(16));
  const { targets, slots } = host.vtmScheduler.schedule();
  const given = [...(slots[0] ?? [])].map((slot) => targets[slot]?.path.join("/") ?? "nobody");
  const slotsFor = (path: string): number => given.filter((name) => name === path).length;
  assert.deepEqual(
    [slotsFor(`streams/${first.name}`), slotsFor("streams"), slotsFor(""), slotsFor("nobody")],
    [2, 1, 1, 1],
    "16 ms of the first, 8 ms left of the team, 8 ms left of the machine, 8 ms of nobody",
  );
  await dispatched(host);
  const [ofOwn = 0, ofFirst = 0, ofSecond = 0] = await sharesOver(2400, [own.pid, first.pid, second.pid]);
  assert.ok(
    ofFirst > ofOwn && ofFirst > ofSecond && ofOwn > 0 && ofSecond > 0,
    `${ofOwn} ${ofFirst} ${ofSecond} ms`,
  );
  assert.throws(() => cpuAdapt(streams, machine, { x: of40(8), y: of40(32) }), /both must be machines/);
});

test("memory is limited, and all together no more than the host has", async () => {
  await using host = await openTaskHost({ ...onOneProcessor, memoryBytes: mebibytes(96) });
  const machine = host.createMachine({ name: "small", memoryBytes: mebibytes(64) });
  assert.throws(
    () => host.createMachine({ name: "more", memoryBytes: mebibytes(64) }),
    (error: Error) => codeOf(error) === "unsatisfiable",
  );
  const greedy = await machine.team.scheduler.start(["perl", "-e", "my $all = 'x' x (256 << 20); sleep 60"]);
  const end = await greedy.ended;
  assert.equal(end?.signal, "SIGKILL");
});

test("one walks from a processor up to the machine and down again", async () => {
  await using host = await openTaskHost(onOneProcessor);
  const machine = host.createMachine({ name: "walked", memoryBytes: mebibytes(64) });
  const job = await machine.team.scheduler.start(["sleep", "60"]);
  const [processor] = host.processors;
  const [virtual] = processor?.higher() ?? [];
  const [process] = virtual?.higher() ?? [];
  const [team] = process?.higher() ?? [];
  assert.equal(process, job);
  assert.deepEqual(team?.higher(), [machine]);
  assert.deepEqual(
    machine.lower().map(({ kind }) => kind),
    ["team", "memory-buffer"],
  );
  assert.deepEqual(job.lower()[0]?.lower(), [processor]);
  assert.equal(host.memory.higher()[0]?.higher()[0], machine);
});

test("a process that starts others all the time leaves with all of them", async () => {
  const storm = startOutside([
    "perl",
    "-e",
    "while (1) { my $pid = fork; exit 0 if !$pid; waitpid $pid, 0 }",
  ]);
  outside.push(storm);
  const groupsBefore = readFileSync(`/proc/${storm.pid}/cgroup`, "utf8");
  const host = await openTaskHost(onOneProcessor);
  host.createMachine({ name: "first", cpu: of40(20) }).addResource(storm.pid);
  await host.close();
  assert.equal(readFileSync(`/proc/${storm.pid}/cgroup`, "utf8"), groupsBefore);
  await sharesOver(20, [storm.pid]);
});

test("a program that is not there is not started, and leaves no group", async () => {
  await using host = await openTaskHost(onOneProcessor);
  const { scheduler } = host.createMachine({ name: "m", cpu: of40(8) }).team;
  await assert.rejects(scheduler.start(["nosuchprogram"]), /Cannot start nosuchprogram: no such program/);
  await assert.rejects(scheduler.start(["./nosuchprogram"], { directory: "/" }), /no such program/);
  assert.deepEqual(scheduler.getResources(), []);
});

test("what started in a machine ends with it, and no group is left", async () => {
  const host = await openTaskHost(onOneProcessor);
  const machine = host.createMachine({ name: "brief", cpu: of40(8) });
  const { pid } = await machine.team.scheduler.start(["sh", "-c", "sleep 600 & sleep 600"]);
  const [group = ""] =
    /consort-test-tasks-\d+\/\d+-\d+/.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8")) ?? [];
  assert.notEqual(group, "");
  await host.close();
  await until("its end", () => stateOf(pid) === undefined);
  for (const tree of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu"])
    assert.ok(!existsSync(`${tree}/${group}`), `${tree}/${group} is left`);
});
