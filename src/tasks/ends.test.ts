import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { mebibytes, megabitsPerSecond } from "#base/units.ts";
import { networkReserve } from "./adaptation.ts";
import { of40, pretendedHost } from "./host.fixture.ts";

const refusedAs =
  (code: string, text = /./) =>
  (error: Error): boolean =>
    codeOf(error) === code && text.test(error.message);

test("a machine that was destroyed takes in nothing more, and nothing is left of what tries", async () => {
  const { host, processes, groups } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: of40(8), memoryBytes: mebibytes(64) });
  const team = machine.team.scheduler.createTeam("team");
  const { memory } = machine;
  assert.ok(memory !== undefined);
  await host.destroyMachine(machine);
  const gone = refusedAs("conflict", /machine m has been destroyed/);
  await assert.rejects(machine.team.scheduler.start(["program"]), gone);
  await assert.rejects(team.scheduler.start(["program"]), gone);
  assert.throws(() => machine.team.scheduler.createTeam("other"), gone);
  assert.throws(() => machine.addResource(processes.add(["older"], []).pid), gone);
  assert.throws(() => machine.setSchedParam(of40(8)), gone);
  assert.throws(() => machine.suspend(), gone);
  assert.throws(() => host.vtmScheduler.addResource(machine), gone);
  assert.throws(() => host.memoryManager.reserve(memory, mebibytes(64)), gone);
  const rate = { rateBps: megabitsPerSecond(1) };
  await assert.rejects(networkReserve(machine, rate, [{ address: "10.0.0.1" }]), gone);
  await host.destroyMachine(machine);
  assert.equal(groups.size, 0);
  assert.deepEqual(
    [...processes.running.values()].map(({ command }) => command),
    [["older"]],
  );
});

test("a program whose machine ends while it is being started ends, too", async () => {
  const { host, processes, groups } = pretendedHost();
  const machine = host.createMachine({ name: "m", cpu: of40(8) });
  const starting = machine.team.scheduler.start(["program"]);
  await Promise.all([
    assert.rejects(starting, refusedAs("conflict", /has been destroyed/)),
    host.destroyMachine(machine),
  ]);
  assert.equal(processes.running.size, 0);
  assert.equal(groups.size, 0);
});

test("a closed host makes no machine, and closing it again is the same end", async () => {
  const { host, processes, groups } = pretendedHost();
  const forgotten = host.createMachine({ name: "forgotten", cpu: of40(8) });
  await forgotten.team.scheduler.start(["program"]);
  host.vtmScheduler.removeResource(forgotten);
  assert.equal(host.close(), host.close());
  await host.close();
  assert.equal(processes.running.size, 0, "also of a machine that its scheduler no longer knew");
  assert.equal(groups.size, 0);
  assert.throws(() => host.createMachine({ name: "late" }), refusedAs("conflict", /its host is closed/));
});

test("a job is in one machine, and may join another when it has left", async () => {
  const { host, processes } = pretendedHost();
  const one = host.createMachine({ name: "one", cpu: of40(8) });
  const other = host.createMachine({ name: "other", cpu: of40(8) });
  const job = await one.team.scheduler.start(["program"]);
  assert.throws(() => other.team.scheduler.addResource(job), refusedAs("conflict", /remove it there first/));
  one.team.scheduler.removeResource(job);
  const again = other.team.scheduler.addResource(job);
  assert.equal(again.pid, job.pid);
  assert.ok(again.adopted, "it goes on when the machine ends");
  assert.deepEqual([one.team.processes, other.team.processes], [[], [again]]);
  other.team.scheduler.removeResource(again);
  processes.end(job.pid);
  assert.throws(() => other.team.scheduler.addResource(job), refusedAs("not_found", /it has ended/));
});

test("a team stays where it was created, and once removed it takes in nothing", async () => {
  const { host } = pretendedHost();
  const one = host.createMachine({ name: "one", cpu: of40(8) });
  const other = host.createMachine({ name: "other", cpu: of40(8) });
  const team = one.team.scheduler.createTeam("team");
  const within = team.scheduler.createTeam("within");
  assert.throws(() => other.team.scheduler.addResource(team), refusedAs("conflict", /createTeam\(\)/));
  one.team.scheduler.removeResource(team);
  const removed = refusedAs("conflict", /team team has been removed from one/);
  await assert.rejects(team.scheduler.start(["program"]), removed);
  await assert.rejects(within.scheduler.start(["program"]), removed);
  assert.throws(() => team.scheduler.createTeam("more"), removed);
});

test("a machine is of the host that made it", async () => {
  const [here, elsewhere] = [pretendedHost().host, pretendedHost().host];
  const machine = here.createMachine({ name: "m" });
  assert.throws(() => elsewhere.vtmScheduler.addResource(machine), refusedAs("conflict", /another host/));
  await assert.rejects(elsewhere.destroyMachine(machine), refusedAs("not_found", /not of this host/));
  await here.destroyMachine(machine);
});
