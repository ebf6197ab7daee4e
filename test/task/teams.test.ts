import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { micros, millis } from "#base/units.ts";
import { conformanceId, conformancePlan, whenSeen } from "#drivers/appliance/conformance.ts";
import { BookedScheduler } from "#drivers/appliance/task/scheduler.fixture.ts";
import type { TeamSpec } from "#model/ensemble.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock, programs, signal, taskHost } from "./host.ts";
import type { TaskSubject } from "./host.ts";

const shell = (script: string): string[] => ["sh", "-c", script];
const team = (name: string, ...scripts: string[]): TeamSpec => ({
  name,
  policy: "together",
  jobs: scripts.map(shell),
  teams: [],
});
const lasting = "while :; do sleep 0.01; done";
const quick = { when: "on-failure", backoffMsMin: millis(5), backoffMsMax: millis(10) } as const;

async function running(host: TaskSubject, change: Partial<AppliancePlan>): Promise<AppliancePlan> {
  const plan = conformancePlan({ command: programs.stays(), ...change });
  await host.driver.create(plan, new Map(), signal);
  await host.driver.start(plan.id, signal);
  return plan;
}

async function logUntil(host: TaskSubject, pattern: RegExp): Promise<string> {
  for (;;) {
    const log = await host.driver.readLog(conformanceId, 100_000, signal);
    if (pattern.test(log)) return log;
    await clock.sleep(millis(1), signal);
  }
}

function pidsIn(host: TaskSubject, group: string): number[] {
  const path = `${host.options.cgroupParent}/task-0/${group}`;
  return host.options.cgroups.openForCpu(path).pids();
}

const supervisorAlone = (host: TaskSubject): boolean =>
  ["main", "team-0/jobs/job-0", "team-0/jobs/job-1", "team-0/team-0/jobs/job-0"].every(
    (group) => pidsIn(host, group).length === 0,
  );

test("jobs of teams begin with the command, each in a group of its own, and end with it", async () => {
  await using host = await taskHost();
  const inner = team("inner", `echo "$CONSORT_TEAM $CONSORT_JOB"; ${lasting}`);
  const outer = {
    ...team("outer", `echo one; ${lasting}`, `echo "job $CONSORT_JOB"; ${lasting}`),
    teams: [inner],
  };
  const command = shell("trap 'exit 0' TERM; while :; do sleep 0.01; done");
  const plan = await running(host, { command, teams: [outer] });
  await logUntil(host, /(?=.*one\n)(?=.*job 2\n)(?=.*outer\/inner 1\n)/s);
  for (const group of ["main", "team-0/jobs/job-0", "team-0/jobs/job-1", "team-0/team-0/jobs/job-0"]) {
    assert.ok(pidsIn(host, group).length > 0, group);
  }
  await host.driver.stop(plan.id, millis(60_000), signal);
  assert.ok(supervisorAlone(host));
  await host.driver.start(plan.id, signal);
  await logUntil(host, /outer\/inner 1\n.*outer\/inner 1\n/s);
});

test("a command that ends takes the jobs of its teams with it, before it is seen to have ended", async () => {
  await using host = await taskHost();
  const teams = [team("workers", `echo begun; ${lasting}`)];
  await running(host, { command: shell("while [ ! -e /tmp/end ]; do sleep 0.01; done"), teams });
  await logUntil(host, /begun/);
  const touch = { command: ["touch", "/tmp/end"], env: {}, onOutput: () => {} };
  await host.driver.exec(conformanceId, touch, signal);
  await whenSeen(host.driver, conformanceId, (one) => one.state === "exited");
  assert.ok(supervisorAlone(host));
});

test("a job that fails begins again after its appliance's pause, and one that is done does not", async () => {
  await using host = await taskHost();
  const teams = [team("workers", "echo failing; exit 3", "echo done; exit 0")];
  await running(host, { teams, restart: quick });
  const log = await logUntil(host, /(failing\n.*){4}/s);
  assert.match(log, /consort: job 1 of team workers ended with exit code 3, begins again in 5 ms\n/);
  assert.match(log, /consort: job 2 of team workers ended with exit code 0\n/);
  assert.equal(log.match(/^done$/gm)?.length, 1);
  const seen = await whenSeen(host.driver, conformanceId, (one) => one.message !== undefined);
  assert.equal(seen.message, "Job 1 of team workers ended with exit code 3 and begins again");
  assert.deepEqual([seen.state, seen.restarts], ["running", 0]);
});

test("a policy that is changed while they run counts for jobs that end from then on", async () => {
  await using host = await taskHost();
  const teams = [team("workers", "while [ ! -e /tmp/fail ]; do sleep 0.01; done; rm /tmp/fail; exit 1")];
  const plan = await running(host, { teams, restart: quick });
  await host.driver.adapt(new Map([[plan.id, { restart: { ...quick, when: "never" } }]]), signal);
  await host.driver.exec(plan.id, { command: ["touch", "/tmp/fail"], env: {}, onOutput: () => {} }, signal);
  await logUntil(host, /consort: job 1 of team workers ended with exit code 1\n/);
});

test("a job whose program is not there is told of in the output, and leaves the others alone", async () => {
  await using host = await taskHost();
  const teams = [
    { ...team("workers", `echo begun; ${lasting}`), jobs: [["/no/such"], shell(`echo begun; ${lasting}`)] },
  ];
  await running(host, { teams });
  const log = await logUntil(host, /(?=.*begun)(?=.*could not begin)/s);
  assert.match(
    log,
    /consort: job 1 of team workers could not begin: run \/no\/such: No such file or directory\n/,
  );
  const seen = await whenSeen(host.driver, conformanceId, (one) => one.message !== undefined);
  assert.equal(seen.message, "Job 1 of team workers ended with exit code 127");
  assert.equal(seen.state, "running");
});

test("jobs are asked politely to end when their appliance is stopped", async () => {
  await using host = await taskHost();
  const polite = (word: string): string =>
    `trap 'echo ${word} ends; exit 0' TERM; echo ${word} begun; while :; do sleep 0.01; done`;
  // Its command waits for its job, as otherwise the end of the one would be that of the other.
  const command = shell("trap 'sleep 1; exit 0' TERM; echo begun; while :; do sleep 0.01; done");
  const plan = await running(host, { command, teams: [team("workers", polite("job"))], restart: quick });
  await logUntil(host, /job begun/);
  await host.driver.stop(plan.id, millis(60_000), signal);
  assert.match(await host.driver.readLog(plan.id, 1000, signal), /job ends/);
});

const writing = (word: string): string =>
  `echo 0 > /tmp/count; echo ${word}; i=0; while :; do i=$((i+1)); echo $i > /tmp/next; mv /tmp/next /tmp/count; done`;

/** What its job has counted to, seen from outside: nothing in it need run for that. */
function countIn(host: TaskSubject): number {
  const [pid] = pidsIn(host, "main");
  return Number(readFileSync(`/proc/${pid}/root/tmp/count`, "utf8"));
}

async function moves(host: TaskSubject): Promise<void> {
  const first = countIn(host);
  while (countIn(host) === first) await clock.sleep(millis(1), signal);
}

async function stands(host: TaskSubject): Promise<void> {
  const first = countIn(host);
  await clock.sleep(millis(60), signal);
  assert.equal(countIn(host), first);
}

test("jobs of teams are held with their command when it is suspended, and go on with it", async () => {
  await using host = await taskHost();
  const plan = await running(host, { teams: [team("workers", writing("begun"))] });
  await logUntil(host, /begun/);
  await moves(host);
  await host.driver.suspend(plan.id, signal);
  await stands(host);
  await host.driver.resume(plan.id, signal);
  await moves(host);
});

test("jobs of teams are stopped where they are when the lease ends, and go on when it is renewed", async () => {
  await using host = await taskHost();
  const lease = (ms: number): void => host.driver.renewLease(millis(clock.monotonic() + ms));
  lease(2_000);
  await running(host, { teams: [team("workers", writing("begun"))], leased: true });
  await logUntil(host, /begun/);
  await whenSeen(host.driver, conformanceId, (one) => one.state === "fenced");
  await stands(host);
  lease(3_600_000);
  await whenSeen(host.driver, conformanceId, (one) => one.state === "running");
  await moves(host);
});

test("the scheduler is asked for an appliance's teams, whose parts and policies change while they run", async () => {
  const scheduler = new BookedScheduler();
  await using host = await taskHost({ scheduler });
  const cpu = { kind: "reservation", periodUs: micros(40_000), executionUs: micros(20_000) } as const;
  const part = { ...cpu, executionUs: micros(8_000) };
  const teams = [{ ...team("workers", lasting, lasting), cpu: part }];
  const plan = await running(host, { cpu, teams });
  const slot = `${host.options.cgroupParent}/task-0`;
  const asked = scheduler.machines.get(plan.id);
  assert.deepEqual(asked?.jobs, [{ kind: "cgroup", path: `${slot}/main` }]);
  const reservation = { periodUs: micros(40_000), executionUs: micros(8_000) };
  const jobs = [{ kind: "cgroup", path: `${slot}/team-0/jobs` }] as const;
  const wanted = {
    name: "workers",
    policy: "together",
    jobs,
    teams: [],
    cgroup: `${slot}/team-0`,
    reservation,
  };
  assert.deepEqual(asked.teams, [wanted]);
  const turns = teams.map((one) => ({ ...one, policy: "round-robin" as const }));
  await host.driver.adapt(new Map([[plan.id, { teams: turns }]]), signal);
  const [after] = scheduler.machines.get(plan.id)?.teams ?? [];
  assert.deepEqual(
    after?.jobs.map((job) => (job.kind === "cgroup" ? job.path : "")),
    [`${slot}/team-0/jobs/job-0`, `${slot}/team-0/jobs/job-1`],
  );
  const others = host.driver.adapt(new Map([[plan.id, { teams: [team("workers", lasting)] }]]), signal);
  await assert.rejects(others, { code: "conflict" });
  assert.equal(host.driver.observe()[0]?.scheduling?.enforcement, "dispatch-table");
});
