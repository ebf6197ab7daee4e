import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { of40, pretendedHost } from "./host.fixture.ts";

const refusedAs =
  (code: string, text = /./) =>
  (error: Error): boolean =>
    codeOf(error) === code && text.test(error.message);

test("two threads of one process are jobs of two machines, and the process itself of a third", () => {
  const { host, processes, table } = pretendedHost();
  const { pid } = processes.add(["program"], []);
  const [first, second] = [processes.addThread(pid), processes.addThread(pid)];
  const [a, b, c] = ["a", "b", "c"].map((name) => host.createMachine({ name, cpu: of40(8) }));
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  const jobs = [a.addResource(first), b.addResource(second)];
  assert.deepEqual(
    jobs.map(({ kind, name, pid: of, adopted }) => ({ kind, name, of, adopted })),
    [first, second].map((tid) => ({ kind: "thread", name: `thread-${tid}`, of: pid, adopted: true })),
  );
  assert.deepEqual(
    jobs.map((job) => job.threads()),
    [[first], [second]],
  );
  const process = c.addResource(pid);
  assert.deepEqual(
    jobs.map((job) => job.threads()),
    [[first], [second]],
    "they stay where they are",
  );
  c.team.scheduler.removeResource(process);
  assert.deepEqual(jobs[0]?.threads(), [first]);
  const path = jobs[0]?.parts.cgroup?.path ?? "";
  assert.deepEqual(table.machines.get("a")?.jobs, [{ kind: "cgroup", path, threads: true }]);
});

test("a thread goes back to its process, may come again, and is in one machine only", async () => {
  const { host, processes, groups } = pretendedHost();
  const { pid } = processes.add(["program"], []);
  const tid = processes.addThread(pid);
  const [a, b] = ["a", "b"].map((name) => host.createMachine({ name, cpu: of40(8) }));
  assert.ok(a !== undefined && b !== undefined);
  const job = a.addResource(tid);
  assert.throws(() => b.addResource(tid), refusedAs("conflict", /thread \d+: it is in a machine/));
  a.team.scheduler.removeResource(job);
  assert.deepEqual(processes.threadsApart.get(tid)?.groupFiles, []);
  const again = b.team.scheduler.addResource(job);
  assert.deepEqual(again.threads(), [tid]);
  await host.close();
  assert.deepEqual(processes.threadsApart.get(tid)?.groupFiles, []);
  assert.ok(processes.running.has(pid), "it runs on");
  assert.equal(groups.size, 0);
  processes.threadsApart.delete(tid);
  const other = pretendedHost();
  const machine = other.host.createMachine({ name: "m" });
  assert.throws(() => machine.team.scheduler.addResource(job), refusedAs("not_found", /thread-\d+: it has/));
});

test("with the process that a machine has started its threads leave other machines", async () => {
  const { host, processes } = pretendedHost();
  const [a, b] = ["a", "b"].map((name) => host.createMachine({ name, cpu: of40(8) }));
  assert.ok(a !== undefined && b !== undefined);
  const started = await a.team.scheduler.start(["program"]);
  const tid = processes.addThread(started.pid);
  const inTeam = a.team.scheduler.createTeam("team", { cpu: of40(4) });
  const jobs = [inTeam.scheduler.addResource(tid), b.addResource(processes.addThread(started.pid))];
  jobs[0]?.setSchedParam(of40(2));
  await host.destroyMachine(a);
  assert.deepEqual(b.team.processes, []);
  assert.ok(!processes.running.has(started.pid));
});

test("a thread is refused where nothing stops it without its process", () => {
  const { host, processes } = pretendedHost({ groups: false });
  const { pid } = processes.add(["program"], []);
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  assert.throws(
    () => machine.addResource(processes.addThread(pid)),
    refusedAs("unsupported", /a signal stops a whole process; wanted process \d+ with all/),
  );
  const own = processes.addThread(processes.self().pid);
  assert.throws(() => machine.addResource(own), refusedAs("not_found"));
});

test("where no group holds a thread apart only a machine kept by deadline takes it, and cannot be suspended", async () => {
  const { host, processes, deadline } = pretendedHost({ threadsTogether: true });
  const { pid } = processes.add(["program"], []);
  const tid = processes.addThread(pid);
  const table = host.createMachine({ name: "t", cpu: of40(8) });
  assert.throws(
    () => table.addResource(tid),
    refusedAs("unsupported", /of version 2, .* or a machine kept by deadline/),
  );
  const machine = host.createMachine({ name: "d", cpu: of40(8), enforcement: "deadline" });
  const job = machine.addResource(tid);
  assert.deepEqual(deadline.machines.get("d")?.jobs, [{ kind: "thread", tid, startTime: String(tid) }]);
  assert.deepEqual(job.threads(), [tid]);
  const held = refusedAs("unsupported", /no control group here holds thread-\d+ apart/);
  assert.throws(() => machine.suspend(), held);
  assert.throws(() => machine.team.scheduler.suspend(job), held);
  assert.ok(!machine.suspended && !job.suspended);
  assert.throws(() => table.addResource(pid), refusedAs("conflict", /its thread-\d+ is in a machine/));
  await host.destroyMachine(machine);
  table.addResource(pid);
  const again = host.createMachine({ name: "d", cpu: of40(8), enforcement: "deadline" });
  assert.throws(() => again.addResource(tid), refusedAs("conflict", /its process \d+ is in a machine/));
});
