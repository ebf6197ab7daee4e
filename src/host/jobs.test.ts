import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import { ConsortError } from "#base/errors.ts";
import type { ApplianceId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { FakeJobDriver, fakeJobMachine, fakeJobs, fakeSpool, fakeSpoolDisk } from "#drivers/job/fake.ts";
import type { Gate } from "#drivers/job/fake.ts";
import { silentLog } from "#drivers/system/log.ts";
import { HostJobs } from "#host/jobs.ts";
import type { JobSpec } from "#model/job.ts";
import type { HostPlan, JobPlan } from "#protocol/host-plan.ts";
import type { JobReport } from "#protocol/host-report.ts";

const web = "shop/web" as ApplianceId;
const key = "render-1.1";

const job = (command: readonly string[], change: Partial<JobSpec> = {}): JobSpec => ({
  name: "render",
  runsIn: { kind: "appliance", appliance: web },
  command,
  env: {},
  stageIn: [{ url: "sftp://store/in", path: "in", ifThere: "overwrite", deleteAfter: true }],
  stageOut: [{ url: "sftp://store/out", path: "out" }],
  retry: { attemptsMax: 1, backoffMsMin: millis(1), backoffMsMax: millis(1) },
  ...change,
});

const plan = (...jobs: JobPlan[]): HostPlan => ({
  host: hostId("a1"),
  epoch: 1,
  revision: 1,
  appliances: [],
  segments: [],
  shapedPairs: [],
  tunnels: [],
  jobs,
});

const attempt = (spec: JobSpec, change: Partial<JobPlan> = {}): JobPlan => ({
  id: "render-1",
  attempt: 1,
  job: spec,
  appliance: web,
  ...change,
});

/** One host: what outlives its managers, and its present manager. */
class Host {
  readonly clock = new ManualClock();
  run: string | undefined = "run 1";
  readonly machine = fakeJobMachine(
    () => this.run,
    () => this.clock.now(),
  );
  readonly disk = fakeSpoolDisk();
  gate: Gate = async (_label, effect) => effect();
  #life = new AbortController();
  jobs = this.#manager();

  #manager(): HostJobs {
    const gate: Gate = (label, effect) => this.gate(label, effect);
    return new HostJobs({
      clock: this.clock,
      log: silentLog,
      driver: new FakeJobDriver(this.machine, gate),
      spool: fakeSpool(this.disk, gate),
      appliances: {
        observe: () => [
          { id: web, state: this.run === undefined ? "suspended" : "running" } as ApplianceObservation,
        ],
      },
      onChange: () => {},
    });
  }

  async follow(...jobs: JobPlan[]): Promise<void> {
    this.jobs.follow(plan(...jobs), this.#life.signal);
    await this.settle();
  }

  /** kill -9, and the next one. */
  async restart(): Promise<void> {
    this.#life.abort(new Error("killed"));
    this.#life = new AbortController();
    this.gate = async (_label, effect) => effect();
    this.jobs = this.#manager();
    await this.jobs.recover(this.#life.signal);
  }

  async settle(): Promise<void> {
    for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      this.clock.advance(millis(250));
      await this.settle();
    }
  }

  get report(): JobReport | undefined {
    return this.jobs.reports()[0];
  }

  stop(): void {
    this.#life.abort(new Error("stopped"));
  }
}

describe("HostJobs", () => {
  it("stages in, runs, keeps what is written, stages out and removes what is to go", async () => {
    const host = new Host();
    const one = attempt(job(fakeJobs.ends(1000, 0, "hello")));
    await host.follow(one);
    assert.equal(host.report?.state, "running");
    await host.pass(1500);
    assert.deepEqual([host.report?.state, host.report?.exitCode], ["done", 0]);
    assert.deepEqual(host.machine.staged.get(key), [
      "in 0 sftp://store/in",
      "out 0 sftp://store/out",
      "clear in",
    ]);
    const asked = { id: "render-1", attempt: 1, stream: "stdout", fromByte: 1, maxBytes: 3 } as const;
    const output = await host.jobs.output(asked, new AbortController().signal);
    assert.equal(Buffer.from(output.dataBase64, "base64").toString(), "ell");
    assert.deepEqual([output.nextByte, output.isOver], [4, false]);
    // Told to be over it stays as it is; dropped, nothing of it is left.
    await host.follow({ ...one, over: true });
    assert.equal(host.report?.state, "done");
    await host.follow();
    assert.deepEqual([host.report, host.disk.entries.size, host.disk.output.size], [undefined, 0, 0]);
  });

  it("takes away only what is always wanted of a program that failed, and tells its exit code", async () => {
    const host = new Host();
    const stageOut = [
      { url: "sftp://store/a", path: "a" },
      { url: "sftp://store/log", path: "log", always: true as const },
    ];
    await host.follow(attempt(job(fakeJobs.ends(0, 3), { stageOut })));
    await host.pass(500);
    assert.deepEqual([host.report?.state, host.report?.exitCode], ["failed", 3]);
    assert.match(host.report?.message ?? "", /exit code 3/);
    assert.deepEqual(
      host.machine.staged.get(key)?.filter((one) => one.startsWith("out")),
      ["out 1 sftp://store/log"],
    );
  });

  it("ends what takes too long, and what is cancelled at any stage", async () => {
    const slow = new Host();
    await slow.follow(attempt(job(fakeJobs.stays(), { timeLimitMs: millis(2000) })));
    await slow.pass(3000);
    assert.deepEqual([slow.report?.state, slow.report?.message], ["failed", "it took longer than its 2 s"]);

    const running = new Host();
    const one = attempt(job(fakeJobs.stays()));
    await running.follow(one);
    await running.follow({ ...one, cancelled: true });
    await running.pass(500);
    assert.equal(running.report?.state, "cancelled");

    const early = new Host();
    await early.follow({ ...one, cancelled: true });
    assert.deepEqual([early.report?.state, early.machine.begins.size], ["cancelled", 0]);

    const staging = new Host();
    staging.gate = (label, effect) =>
      label === "jobs, stage in" ? new Promise(() => {}) : Promise.resolve().then(effect);
    await staging.follow(one);
    assert.equal(staging.report?.state, "staging-in");
    await staging.follow({ ...one, cancelled: true });
    await staging.settle();
    // What moves a file ends by its signal; the fake does not listen, as a driver killed in the middle would not.
    await staging.restart();
    await staging.follow({ ...one, cancelled: true });
    assert.deepEqual([staging.report?.state, staging.machine.begins.size], ["cancelled", 0]);
  });

  it("waits for an appliance that is held, and fails an attempt whose appliance began anew", async () => {
    const host = new Host();
    host.run = undefined;
    await host.follow(attempt(job(fakeJobs.ends(5000, 0))));
    await host.pass(2000);
    assert.equal(host.report?.state, "staging-in");
    host.run = "run 1";
    await host.pass(2000);
    assert.equal(host.report?.state, "running");
    host.run = undefined;
    await host.pass(2000);
    assert.equal(host.report?.state, "running");
    host.run = "run 2";
    await host.pass(2000);
    assert.equal(host.report?.state, "failed");
    assert.match(host.report?.message ?? "", /began anew/);
    assert.equal(host.machine.begins.get(key), 1);
  });

  it("tells what holds up a job that runs, once that lasts, until it goes on", async () => {
    const host = new Host();
    await host.follow(attempt(job(fakeJobs.ends(60_000, 0))));
    const refusal = new ConsortError("conflict", "Cannot reach shop/web over SSH: it has another key");
    host.gate = (label, effect) =>
      label === "jobs, look" ? Promise.reject(refusal) : Promise.resolve().then(effect);
    await host.pass(limits.jobHeldToldMs - 1000);
    assert.deepEqual([host.report?.state, host.report?.message], ["running", undefined]);
    await host.pass(4000);
    assert.deepEqual([host.report?.state, host.report?.message], ["running", `held up: ${refusal.message}`]);
    host.gate = async (_label, effect) => effect();
    await host.pass(2000);
    assert.deepEqual([host.report?.state, host.report?.message], ["running", undefined]);
  });

  it("gives up an attempt whose appliance cannot be worked in for long", async () => {
    const host = new Host();
    host.run = undefined;
    await host.follow(attempt(job(fakeJobs.ends(0, 0))));
    await host.pass(limits.jobReachMsMax + 2000);
    assert.equal(host.report?.state, "failed");
    assert.equal(host.machine.begins.size, 0);
  });

  it("ends a cancelled one at last whose appliance is held for ever, and tells that it may go on", async () => {
    const host = new Host();
    const one = attempt(job(fakeJobs.stays()));
    await host.follow(one);
    host.run = undefined;
    await host.follow({ ...one, cancelled: true });
    await host.pass(limits.jobReachMsMax / 2);
    assert.equal(host.report?.state, "running");
    await host.pass(limits.jobReachMsMax);
    assert.equal(host.report?.state, "cancelled");
    assert.match(host.report?.message ?? "", /what runs may go on: .*has not run for long/);
  });

  it("never begins what has begun elsewhere, nor what is told to be over", async () => {
    const adopting = new Host();
    await adopting.follow(attempt(job(fakeJobs.ends(0, 0)), { adopt: true }));
    await adopting.pass(500);
    assert.deepEqual([adopting.report?.state, adopting.machine.begins.size], ["failed", 0]);
    const late = new Host();
    await late.follow(attempt(job(fakeJobs.ends(0, 0)), { over: true }));
    await late.pass(500);
    assert.deepEqual([late.report, late.machine.begins.size], [undefined, 0]);
  });

  it("begins an attempt at most once, and ends it, wherever its manager is killed", async () => {
    let places = 0;
    for (const effect of ["before", "after"] as const) {
      for (let at = 0; ; at += 1) {
        const host = new Host();
        let calls = 0;
        let killed = false;
        host.gate = async (_label, run) => {
          calls += 1;
          if (calls - 1 !== at) return run();
          killed = true;
          if (effect === "after") run();
          return new Promise<never>(() => {});
        };
        const one = attempt(job(fakeJobs.ends(1000, 0, "hello")));
        await host.follow(one);
        await host.pass(2000);
        if (!killed) {
          host.stop();
          break;
        }
        places += 1;
        await host.restart();
        // As the cluster manager knows by then.
        await host.follow(one);
        await host.pass(3000);
        const begins = host.machine.begins.get(key) ?? 0;
        const story = `killed ${effect} call ${at}`;
        assert.ok(begins <= 1, `${story}: begun ${begins} times`);
        assert.ok(
          host.report?.state === "done" || host.report?.state === "failed",
          `${story}: ${host.report?.state}`,
        );
        if (host.report.state === "done") {
          assert.equal(host.disk.output.get(`${key} stdout`)?.toString(), "hello", story);
        } else assert.equal(begins, 0, `${story}: what was begun ends by itself`);
        host.stop();
      }
    }
    assert.ok(places > 12, `only ${places} places to be killed at`);
  });
});
