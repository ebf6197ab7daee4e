import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { mebibytes, megabitsPerSecond } from "#base/units.ts";
import { cpuAdapt, networkAdapt, networkReserve } from "./adaptation.ts";
import { of40, pretendedHost } from "./host.fixture.ts";
import { milliseconds } from "./sched-param.ts";

const refusedAs =
  (code: string, text = /./) =>
  (error: Error): boolean =>
    codeOf(error) === code && text.test(error.message);

test("a machine is made with all that is reserved for it, or not at all", () => {
  const { host, table, groups } = pretendedHost();
  const gold = host.createMachine({ name: "gold", cpu: of40(24), memoryBytes: mebibytes(512) });
  assert.deepEqual(table.machines.get("gold")?.reservation, of40(24));
  assert.equal(groups.get("ours/gold"), mebibytes(512));
  assert.deepEqual(gold.getSchedParam(), of40(24));
  assert.throws(
    () => host.createMachine({ name: "late", cpu: of40(8), memoryBytes: mebibytes(768) }),
    refusedAs("unsatisfiable", /late\/memory: 1.25GiB would be reserved, the host has 1GiB/),
  );
  assert.deepEqual([...table.machines.keys()], ["gold"]);
  assert.deepEqual([...groups.keys()], ["ours/gold"]);
  assert.throws(() => host.createMachine({ name: "gold" }), refusedAs("conflict"));
  assert.throws(() => host.createMachine({ name: "../up" }), refusedAs("bad_input"));
});

test("a share is CPU time in every period", () => {
  const { host } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: { periodUs: milliseconds(40), share: 0.142 } });
  assert.deepEqual(machine.getSchedParam(), { periodUs: 40_000, executionUs: 5680 });
});

test("cpuAdapt() moves time between machines, both or neither", () => {
  const { host, table } = pretendedHost();
  const gold = host.createMachine({ name: "gold", cpu: of40(24) });
  const rest = host.createMachine({ name: "rest", cpu: of40(16) });
  cpuAdapt(gold, rest, { x: of40(32), y: of40(8) });
  assert.deepEqual([gold.getSchedParam(), rest.getSchedParam()], [of40(32), of40(8)]);
  assert.deepEqual(table.machines.get("gold")?.reservation, of40(32));
  assert.throws(() => cpuAdapt(gold, rest, { x: of40(36), y: of40(8) }), refusedAs("unsatisfiable"));
  assert.deepEqual([gold.getSchedParam(), rest.getSchedParam()], [of40(32), of40(8)]);
  const loose = host.createMachine({ name: "loose" });
  assert.throws(() => cpuAdapt(gold, loose, { x: of40(8), y: of40(8) }), refusedAs("not_found", /loose/));
  assert.throws(() => cpuAdapt(gold, gold, { x: of40(8), y: of40(8) }), refusedAs("bad_input"));
});

test("teams and single processes have parts of their machine, and change them together", async () => {
  const { host, table } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: of40(32) });
  const streams = machine.team.scheduler.createTeam("streams", { cpu: of40(16), policy: "together" });
  const one = await machine.team.scheduler.start(["one"]);
  one.setSchedParam(of40(8));
  const most16 = refusedAs("unsatisfiable", /m cannot be divided.*the largest feasible .* for .* is 16ms$/);
  assert.throws(() => one.setSchedParam(of40(20)), most16);
  assert.throws(() => machine.team.scheduler.admit(one, of40(20)), most16);
  assert.throws(
    () => machine.team.scheduler.createTeam("more", { cpu: of40(9) }),
    refusedAs("unsatisfiable", /the largest feasible reservation for more is 8ms$/),
  );
  assert.deepEqual(machine.team.teams, [streams], "what is refused is not left behind");
  cpuAdapt(streams, one, { x: of40(12), y: of40(20) });
  const teams = table.machines.get("m")?.teams.map(({ name, reservation }) => [name, reservation]);
  assert.deepEqual(teams, [
    ["streams", of40(12)],
    [one.name, of40(20)],
  ]);
  machine.team.scheduler.expel(one);
  assert.deepEqual(
    table.machines.get("m")?.jobs.map((job) => job.kind === "cgroup" && job.path),
    ["ours/m/job-1"],
  );
  machine.team.scheduler.admit(one, of40(20));
  assert.equal(one.getSchedParam(), undefined, "an admission test changes nothing");
  const inner = await streams.scheduler.start(["inner"]);
  assert.throws(() => cpuAdapt(inner, one, { x: of40(4), y: of40(4) }), refusedAs("bad_input"));
  assert.throws(() => machine.team.scheduler.suspend(inner), refusedAs("not_found"));
});

test("a part needs something reserved above it, and a team a name of its own", () => {
  const { host } = pretendedHost();
  const machine = host.createMachine({ name: "m" });
  assert.throws(
    () => machine.team.scheduler.createTeam("t", { cpu: of40(4) }),
    refusedAs("unsatisfiable", /m has nothing reserved/),
  );
  machine.team.scheduler.createTeam("t");
  assert.throws(() => machine.team.scheduler.createTeam("t"), refusedAs("conflict"));
  assert.throws(() => machine.suspend(), refusedAs("conflict", /nothing is reserved/));
});

test("processes come and go: ended ones leave their team, adopted ones leave for where they were", async () => {
  const { host, processes, table, groups } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  const started = await machine.team.scheduler.start(["program"]);
  const { pid } = processes.add(["older"], ["home/procs"]);
  const adopted = machine.addResource(pid);
  assert.deepEqual(processes.running.get(pid)?.groupFiles, ["ours/m/job-2/procs"]);
  assert.equal(table.machines.get("m")?.jobs.length, 2);
  processes.end(started.pid);
  await started.ended;
  await Promise.resolve();
  assert.deepEqual(machine.team.processes, [adopted]);
  assert.ok(!groups.has("ours/m/job-1"));
  assert.throws(() => machine.addResource(pid), refusedAs("conflict"));
  assert.throws(() => machine.addResource(9), refusedAs("not_found"));
  await host.destroyMachine(machine);
  assert.deepEqual(processes.running.get(pid)?.groupFiles, ["home/procs"]);
  assert.equal(groups.size, 0);
  assert.equal(table.machines.size, 0);
});

test("a process that cannot be kept is not taken: neither started nor adopted it stays behind", async () => {
  const { host, processes, table, groups } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  table.failNext(new Error("the kernel said no"));
  await assert.rejects(machine.team.scheduler.start(["program"]), /the kernel said no/);
  assert.equal(processes.running.size, 0);
  const { pid } = processes.add(["older"], ["home/procs"]);
  table.failNext(new Error("the kernel said no"));
  assert.throws(() => machine.addResource(pid), /the kernel said no/);
  assert.deepEqual(processes.running.get(pid)?.groupFiles, ["home/procs"]);
  assert.deepEqual(machine.team.processes, []);
  assert.deepEqual([...groups.keys()], ["ours/m"]);
});

test("bandwidth is reserved by target, moved both or neither, and refused without an interface", async () => {
  const { host } = pretendedHost();
  const mbit = (rate: number) => ({ rateBps: megabitsPerSecond(rate) });
  const gold = host.createMachine({ name: "gold" });
  const rest = host.createMachine({ name: "rest" });
  const viewers = await networkReserve(gold, mbit(5), [{ address: "10.0.0.1" }], { priority: 0 });
  await networkReserve(rest, mbit(3), [{ address: "10.0.0.2" }]);
  networkAdapt(gold, rest, { x: mbit(6), y: mbit(2) });
  assert.deepEqual(viewers.reservation, mbit(6));
  assert.throws(() => networkAdapt(gold, rest, { x: mbit(9), y: mbit(2) }), refusedAs("unsatisfiable"));
  assert.throws(() => host.networkManager.admit(viewers, mbit(9)), refusedAs("unsatisfiable"));
  assert.deepEqual([viewers.reservation, rest.connections[0]?.reservation], [mbit(6), mbit(2)]);
  assert.deepEqual(host.networkInterface?.higher(), host.networkManager.getResources());
  await host.destroyMachine(gold);
  assert.deepEqual(
    host.networkManager.getResources().map(({ name }) => name),
    ["rest"],
  );
});

test("bandwidth is reserved for what arrives, too: one way, or both together", async () => {
  const { host } = pretendedHost({ incoming: true });
  const mbit = (rate: number) => ({ rateBps: megabitsPerSecond(rate) });
  const gold = host.createMachine({ name: "gold" });
  const rest = host.createMachine({ name: "rest" });
  const targets = [{ address: "10.0.0.1" }];
  const other = [{ address: "10.0.0.2" }];
  await networkReserve(gold, mbit(5), targets, { name: "out" });
  const uploads = await networkReserve(gold, mbit(6), targets, { name: "in", direction: "in" });
  assert.deepEqual(
    [host.networkInterface?.capacity, host.networkInterface?.incomingCapacity],
    [9.8e6, 9.8e6],
    "each way has its own",
  );
  const both = (rate: number) => networkReserve(rest, mbit(rate), other, { name: "both", direction: "both" });
  await assert.rejects(both(4), refusedAs("unsatisfiable", /3.8Mbit\/s of 9.8Mbit\/s/));
  const calls = await both(3);
  assert.throws(() => networkAdapt(uploads, calls, { x: mbit(4), y: mbit(5) }), refusedAs("unsatisfiable"));
  assert.deepEqual([uploads.reservation, calls.reservation], [mbit(6), mbit(3)], "out would not do");
  assert.throws(() => host.networkManager.admit(calls, mbit(4)), refusedAs("unsatisfiable"));
  networkAdapt(uploads, calls, { x: mbit(5), y: mbit(4) });
  assert.throws(() => host.networkManager.admit(calls, mbit(5)), refusedAs("unsatisfiable"));
  await host.networkManager.expel(calls);
  host.networkManager.admit(calls, mbit(4.8));
  await host.networkManager.reserve(calls, mbit(4.8));
  await assert.rejects(
    networkReserve(rest, mbit(1), other, { name: "up", direction: "up" as "in" }),
    refusedAs("bad_input"),
  );
});

test("incoming bandwidth is refused where none was named", async () => {
  const { host } = pretendedHost();
  const machine = host.createMachine({ name: "m" });
  const rate = { rateBps: megabitsPerSecond(1) };
  for (const direction of ["in", "both"] as const)
    await assert.rejects(
      networkReserve(machine, rate, [{ address: "10.0.0.1" }], { direction }),
      refusedAs("unsupported", /wanted network.incomingBps/),
    );
  assert.deepEqual(host.networkManager.getResources(), []);
});

test("without control groups processes are stopped one by one, and memory is refused", async () => {
  const { host, table } = pretendedHost({ groups: false });
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  const { pid } = await machine.team.scheduler.start(["program"]);
  assert.deepEqual(table.machines.get("m")?.jobs, [{ kind: "process", pid, startTime: String(pid) }]);
  assert.throws(
    () => host.createMachine({ name: "n", memoryBytes: mebibytes(1) }),
    refusedAs("unsupported", /may not make control groups/),
  );
});

test("without control groups a quota is refused, and so is a process of another user", () => {
  const { host, processes, table } = pretendedHost({ groups: false });
  const quota = refusedAs("unsupported", /Cannot keep q by bandwidth.*wanted auto or dispatch-table/);
  assert.throws(() => host.createMachine({ name: "q", cpu: of40(8), enforcement: "bandwidth" }), quota);
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  const { pid } = processes.add(["somebody else's"], []);
  processes.untouchable.add(pid);
  assert.throws(() => machine.addResource(pid), refusedAs("forbidden", /may not stop it/));
  assert.deepEqual(table.machines.get("m")?.jobs, []);
  processes.untouchable.delete(pid);
  machine.addResource(pid);
});

test("policies are told and changed where there is a choice", () => {
  const { host } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  assert.equal(host.vtmScheduler.getPolicy(), "rate-monotonic");
  host.vtmScheduler.setPolicy("earliest-deadline-first");
  assert.equal(host.vtmScheduler.schedule().policy, "earliest-deadline-first");
  machine.team.scheduler.setPolicy("together");
  assert.equal(machine.team.scheduler.getPolicy(), "together");
  assert.throws(() => host.memoryManager.setPolicy("fair" as "limit"), refusedAs("unsupported"));
});

test("words and numbers that mean nothing are refused, where no compiler has looked", () => {
  const { host } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  const wrong = refusedAs("bad_input");
  assert.throws(() => host.createMachine({ name: "n", policy: "fifo" as "together" }), wrong);
  assert.throws(() => host.createMachine({ name: "n", enforcement: "magic" as "auto" }), wrong);
  assert.throws(() => host.vtmScheduler.setPolicy("edf" as "rate-monotonic"), wrong);
  assert.throws(() => machine.team.scheduler.setPolicy("fifo" as "together"), wrong);
  assert.throws(() => machine.team.scheduler.createTeam("t", { policy: "fifo" as "together" }), wrong);
  for (const value of [-1, 0, NaN, Infinity, 0.0001]) assert.throws(() => milliseconds(value), wrong);
  assert.throws(() => machine.setSchedParam({ periodUs: milliseconds(40), share: NaN }), wrong);
  for (const [param, text] of [
    [{ periodMs: 40, executionMs: 8 }, /periodUs is undefined, .*milliseconds\(40\)/],
    [{ periodUs: 40_000 }, /executionUs is undefined/],
    [{ periodUs: 1.5, executionUs: 1 }, /periodUs is 1.5/],
    [undefined, /periodUs is undefined/],
    [{ periodUs: 400_000_000, executionUs: 8000 }, /a period of m is 6m40s, .* in whole microseconds$/],
  ] as const)
    assert.throws(
      () => machine.setSchedParam(param as ReturnType<typeof of40>),
      refusedAs("bad_input", text),
    );
  for (const pid of [NaN, -5, 1.5, "12", undefined])
    assert.throws(() => machine.addResource(pid as number), refusedAs("bad_input", /a process id is wanted/));
  for (const name of ["", "../up", "two words"])
    assert.throws(() => machine.team.scheduler.createTeam(name), wrong);
  assert.deepEqual(
    host.vtmScheduler.getResources().map(({ name }) => name),
    ["m"],
  );
});

test("the most that is told for one side of a move is then admitted", () => {
  const { host } = pretendedHost();
  const gold = host.createMachine({ name: "gold", cpu: of40(8) });
  const rest = host.createMachine({ name: "rest", cpu: of40(4) });
  assert.throws(
    () => cpuAdapt(gold, rest, { x: of40(30), y: of40(12) }),
    refusedAs("unsatisfiable", /rest .* the largest feasible reservation is 10ms/),
  );
  cpuAdapt(gold, rest, { x: of40(30), y: of40(10) });
});
