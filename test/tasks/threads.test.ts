import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { milliseconds, openTaskHost } from "consort/tasks";
import type { ProcessJob, TaskHost, TaskHostOptions } from "consort/tasks";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { DeadlineEnforcer } from "#drivers/scheduling/deadline/enforcer.ts";
import type { EnforcedMachine } from "#drivers/scheduling/port.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { cpuMsOf, until } from "./processes.ts";

/** All competitors meet on one processor, so that what one gets another does not. */
const onOneProcessor: TaskHostOptions = {
  processors: [{ milli: 1000 }],
  cgroupParent: `consort-test-threads-${process.pid}`,
};
const of40 = (executionMs: number) => ({
  periodUs: milliseconds(40),
  executionUs: milliseconds(executionMs),
});
const { v1 } = machineLayout();
/** Where version 2 shares out CPU time or freezes, the threads of a process are together. */
const apart = v1.cpu !== undefined && v1.freezer !== undefined;
const testApart = (name: string, body: () => Promise<void>): void => {
  if (apart) void test(name, body);
};
const [deadline, normal] = [6, 0];

/** A program of two busy threads beside its first one, which answers. */
class Program implements AsyncDisposable {
  readonly #child = spawn(process.execPath, [join(import.meta.dirname, "workers.child.ts")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  readonly #lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  readonly #ended = once(this.#child, "exit");
  #threads: readonly [number, number] = [0, 0];

  static async started(): Promise<Program> {
    const program = new Program();
    const number = async () => Number((await program.#line()).replace("thread ", ""));
    program.#threads = [await number(), await number()];
    return program;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get threads(): readonly [number, number] {
    return this.#threads;
  }

  cpuMs(tid: number): number {
    return cpuMsOf(`/proc/${this.pid}/task/${tid}/stat`);
  }

  /** Its first thread is alive, and not held. */
  async answers(word: string): Promise<void> {
    this.#child.stdin.write(`${word}\n`);
    assert.equal(await this.#line(), `heard ${word}`);
  }

  async #line(): Promise<string> {
    const { value } = (await this.#lines.next()) as { value?: string };
    return value ?? "";
  }

  /** How much each of its two has used while both used so much. */
  async sharesOver(totalMs: number): Promise<readonly [number, number]> {
    const before = this.#threads.map((tid) => this.cpuMs(tid));
    const used = (at: 0 | 1): number => this.cpuMs(this.#threads[at]) - (before[at] ?? 0);
    await until(`${totalMs} ms of two threads`, () => used(0) + used(1) >= totalMs);
    return [used(0), used(1)];
  }

  groupsOf(tid: number): string {
    return readFileSync(`/proc/${this.pid}/task/${tid}/cgroup`, "utf8");
  }

  policyOf(tid: number): number {
    const stat = readFileSync(`/proc/${this.pid}/task/${tid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

function machinesOf(
  host: TaskHost,
  program: Program,
  enforcement: "dispatch-table" | "bandwidth" | "deadline",
) {
  const first = host.createMachine({ name: "first", cpu: of40(16), enforcement });
  const second = host.createMachine({ name: "second", cpu: of40(4), enforcement });
  const jobs = [first.addResource(program.threads[0]), second.addResource(program.threads[1])] as const;
  return { first, second, jobs };
}

const isHeld = (job: ProcessJob): boolean =>
  readFileSync(join(v1.freezer ?? "", job.parts.cgroup?.path ?? "", "freezer.state"), "utf8") === "FROZEN\n";

for (const enforcement of ["dispatch-table", "bandwidth"] as const)
  testApart(`two threads of one process have what their two machines reserve: ${enforcement}`, async () => {
    await using program = await Program.started();
    const groupsBefore = program.groupsOf(program.pid);
    await using host = await openTaskHost(onOneProcessor);
    const { first, second, jobs } = machinesOf(host, program, enforcement);
    assert.deepEqual([first.enforcedBy, second.enforcedBy], [enforcement, enforcement]);
    await until("every first slot", () => host.counters().every(({ dispatches = 0 }) => dispatches > 0));
    const [most, least] = await program.sharesOver(1000);
    assert.ok(most > 1.5 * least, `${most} and ${least} ms, 16 and 4 of 40 ms are reserved`);
    first.suspend();
    await until("the first thread to be held", () => isHeld(jobs[0]));
    const before = program.cpuMs(program.threads[0]);
    await program.sharesOver(100);
    const meanwhile = program.cpuMs(program.threads[0]) - before;
    assert.ok(meanwhile < 50, `held, it used ${meanwhile} ms: more than the rest of a slot`);
    await program.answers("while one is held");
    first.resume();
    await until("the first thread to go on", () => program.cpuMs(program.threads[0]) > before);
    first.team.scheduler.removeResource(jobs[0]);
    for (const tid of [program.threads[0], program.pid])
      assert.equal(program.groupsOf(tid), groupsBefore, "it is where it was");
    assert.notEqual(program.groupsOf(program.threads[1]), groupsBefore);
    await host.close();
    assert.equal(program.groupsOf(program.threads[1]), groupsBefore);
    await program.answers("after the machines");
    await program.sharesOver(50);
  });

testApart("the deadline scheduler has the threads that are in machines, and no others", async () => {
  await using program = await Program.started();
  await using host = await openTaskHost(onOneProcessor);
  const { second, jobs } = machinesOf(host, program, "deadline");
  assert.deepEqual(
    [...program.threads, program.pid].map((tid) => program.policyOf(tid)),
    [deadline, deadline, normal],
  );
  second.team.scheduler.removeResource(jobs[1]);
  assert.deepEqual(
    program.threads.map((tid) => program.policyOf(tid)),
    [deadline, normal],
  );
});

testApart(
  "a process joins a machine without the thread that is in another, and leaves without it",
  async () => {
    await using program = await Program.started();
    await using host = await openTaskHost(onOneProcessor);
    const { first, jobs } = machinesOf(host, program, "dispatch-table");
    const rest = host.createMachine({ name: "rest", cpu: of40(8), enforcement: "dispatch-table" });
    const apartBefore = program.threads.map((tid) => program.groupsOf(tid).match(/^\d+:freezer:.*$/m)?.[0]);
    const freezersOf = () =>
      program.threads.map((tid) => program.groupsOf(tid).match(/^\d+:freezer:.*$/m)?.[0]);
    const whole = rest.addResource(program.pid);
    assert.deepEqual(freezersOf(), apartBefore);
    rest.team.scheduler.removeResource(whole);
    assert.deepEqual(freezersOf(), apartBefore);
    assert.ok(first.team.processes.includes(jobs[0]));
    await program.answers("in between");
  },
);

testApart("a thread that stands still does not keep its process from ending with its machine", async () => {
  await using host = await openTaskHost(onOneProcessor);
  const owner = host.createMachine({ name: "owner", cpu: of40(8), enforcement: "dispatch-table" });
  const other = host.createMachine({ name: "other", cpu: of40(8), enforcement: "dispatch-table" });
  const started = await owner.team.scheduler.start([process.execPath, "-e", "setInterval(() => {}, 1000)"]);
  await until("more than one thread", () => started.threads().length > 1);
  const tid = started.threads().find((each) => each !== started.pid) ?? 0;
  const job = other.addResource(tid);
  other.suspend();
  await until("the thread to be held", () => isHeld(job));
  await host.destroyMachine(owner);
  assert.equal((await started.ended)?.signal, "SIGKILL");
  assert.deepEqual(other.team.processes, []);
});

testApart("when the program is killed, its next run brings the thread back to its process", async () => {
  await using program = await Program.started();
  const groupsBefore = program.groupsOf(program.pid);
  const cgroupParent = `${onOneProcessor.cgroupParent}-killed`;
  const [tid] = program.threads;
  const owner = spawn(
    process.execPath,
    [join(import.meta.dirname, "owner.child.ts"), String(tid), cgroupParent],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const ended = once(owner, "exit");
  for await (const line of createInterface({ input: owner.stdout })) if (line === "dispatched") break;
  assert.notEqual(program.groupsOf(tid), groupsBefore);
  assert.equal(program.groupsOf(program.pid), groupsBefore);
  owner.kill("SIGKILL");
  await ended;
  const before = program.cpuMs(tid);
  await using _next = await openTaskHost({ ...onOneProcessor, cgroupParent });
  assert.equal(program.groupsOf(tid), groupsBefore);
  await until("the thread to go on", () => program.cpuMs(tid) > before + 50);
});

test("where no group holds a thread apart the deadline scheduler still takes it", async (t) => {
  await using program = await Program.started();
  const [tid] = program.threads;
  const enforcer = new DeadlineEnforcer({ layout: { v1: {}, v2Controllers: [] } });
  t.after(() => enforcer.close());
  const startTime = readStartTime(tid) ?? "";
  const machine: EnforcedMachine = {
    id: "bare",
    reservation: of40(8),
    policy: "together",
    jobs: [{ kind: "thread", tid, startTime }],
    teams: [],
    suspended: false,
  };
  enforcer.apply([machine]);
  const policies = () => [...program.threads, program.pid].map((each) => program.policyOf(each));
  assert.deepEqual(policies(), [deadline, normal, normal]);
  assert.throws(() => enforcer.apply([{ ...machine, suspended: true }]), /would stop all threads/);
  enforcer.apply([]);
  assert.deepEqual(policies(), [normal, normal, normal]);
  // Another thread that got its number later is not taken for it.
  enforcer.apply([{ ...machine, jobs: [{ kind: "thread", tid, startTime: `1${startTime}` }] }]);
  assert.deepEqual(policies(), [normal, normal, normal]);
});
