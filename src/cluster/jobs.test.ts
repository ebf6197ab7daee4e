import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { applianceOf, jobPlanOf, jobPlans, nextOfJob } from "#cluster/jobs.ts";
import type { JobAppliance, JobRecord, JobWorld } from "#cluster/jobs.ts";
import { isOver } from "#model/job.ts";
import type { JobState } from "#model/job.ts";
import type { JobReport } from "#protocol/host-report.ts";

const web = "shop/web" as ApplianceId;
const [a1, a2] = [hostId("a1"), hostId("a2")];

const job = (attemptsMax = 1): JobRecord["job"] => ({
  name: "render",
  runsIn: { kind: "appliance", appliance: web },
  command: ["true"],
  env: {},
  stageIn: [],
  stageOut: [],
  retry: { attemptsMax, backoffMsMin: millis(1000), backoffMsMax: millis(3000) },
});

const record = (change: Partial<JobRecord> = {}): JobRecord => ({
  id: "render-00000001",
  job: job(),
  submittedAtMs: 0,
  state: "queued",
  attempt: 0,
  before: [],
  ...change,
});

class World implements JobWorld {
  nowMs = 1000;
  there: JobAppliance | undefined = { kind: "task", host: a1, state: "running" };
  readonly mayRunOn = new Set<HostId>([a1]);
  readonly reports = new Map<string, JobReport>();
  readonly appliance = (): JobAppliance | undefined => this.there;
  readonly mayBeOn = (_id: ApplianceId, host: HostId): boolean => this.mayRunOn.has(host);
  readonly report = (host: HostId, id: string, attempt: number): JobReport | undefined =>
    this.reports.get(`${host} ${id} ${attempt}`);
  tell(host: HostId, attempt: number, state: JobState, more: Partial<JobReport> = {}): void {
    const id = "render-00000001";
    this.reports.set(`${host} ${id} ${attempt}`, { id, attempt, state, ...more });
  }
}

/** Until nothing follows any more. */
function settled(before: JobRecord, world: World): JobRecord {
  let now = before;
  for (let turn = 0; turn < 20; turn += 1) {
    const next = nextOfJob(now, world);
    if (next === undefined) return now;
    now = next;
  }
  return assert.fail("it changes for ever");
}

describe("nextOfJob()", () => {
  it("begins a job where its appliance runs, and follows what the host tells to its end", () => {
    const world = new World();
    const begun = settled(record(), world);
    assert.deepEqual([begun.state, begun.attempt, begun.host], ["staging-in", 1, a1]);
    world.tell(a1, 1, "running");
    assert.equal(settled(begun, world).state, "running");
    world.tell(a1, 1, "done", { exitCode: 0 });
    const done = settled(begun, world);
    assert.deepEqual([done.state, done.exitCode, done.endedAtMs], ["done", 0, 1000]);
    assert.equal(nextOfJob(done, world), undefined);
  });

  it("tells what holds it up while it runs, as its host tells it, and no longer than that", () => {
    const world = new World();
    const begun = settled(record(), world);
    world.tell(a1, 1, "running", { message: "held up: no answer" });
    const held = settled(begun, world);
    assert.deepEqual([held.state, held.message], ["running", "held up: no answer"]);
    world.tell(a1, 1, "running");
    const runs = settled(held, world);
    assert.deepEqual([runs.state, "message" in runs], ["running", false]);
  });

  it("waits, and tells why, while its appliance does not run", () => {
    const world = new World();
    world.there = { kind: "task", host: a1, state: "suspended" };
    const waits = settled(record(), world);
    assert.deepEqual([waits.state, waits.message], ["queued", "waits for shop/web: it is suspended"]);
    assert.equal(jobPlanOf(waits), undefined);
    world.there = { kind: "task", host: a1 };
    assert.equal(settled(record(), world).message, "waits for shop/web: it is not on a1 yet");
  });

  it("waits for the guest of a machine that runs, and begins once it answers", () => {
    const world = new World();
    world.there = { kind: "vm", host: a1, state: "running", isSilent: true };
    const waits = settled(record(), world);
    assert.deepEqual(
      [waits.state, waits.attempt, waits.message],
      ["queued", 0, "waits for shop/web: its guest does not answer"],
    );
    world.there = { kind: "vm", host: a1, state: "running", isSilent: false };
    assert.deepEqual([settled(waits, world).state, settled(waits, world).message], ["staging-in", undefined]);
  });

  it("fails for good when there is nothing left to run in", () => {
    const world = new World();
    world.there = undefined;
    assert.equal(settled(record({ job: job(5) }), world).state, "failed");
    world.there = { kind: "task", host: a1, state: "exited" };
    assert.equal(settled(record({ job: job(5) }), world).state, "failed");
  });

  it("tries again after pauses that double, and keeps how each attempt ended", () => {
    const world = new World();
    let now = settled(record({ job: job(4) }), world);
    for (const [attempt, pause] of [
      [1, 1000],
      [2, 2000],
      [3, 3000],
    ] as const) {
      world.tell(a1, attempt, "failed", { exitCode: attempt, message: "bad" });
      now = settled(now, world);
      assert.deepEqual([now.state, now.dueAtMs], ["queued", world.nowMs + pause]);
      assert.deepEqual(jobPlanOf(now)?.over, true, "what it wrote stays readable");
      world.nowMs += pause;
      now = settled(now, world);
      assert.deepEqual([now.state, now.attempt], ["staging-in", attempt + 1]);
    }
    world.tell(a1, 4, "failed", { exitCode: 4, message: "bad" });
    now = settled(now, world);
    assert.deepEqual([now.state, now.exitCode, now.before.length], ["failed", 4, 3]);
  });

  it("leaves an attempt alone on a host that is silent but may still run it", () => {
    const world = new World();
    const begun = settled(record({ job: job(3) }), world);
    world.there = { kind: "task", host: a2, state: "running" };
    world.mayRunOn.add(a2);
    assert.equal(nextOfJob(begun, world), undefined);
    world.mayRunOn.delete(a1);
    const again = settled(begun, world);
    assert.deepEqual([again.state, again.before[0]?.message], ["queued", "shop/web has left a1 under it"]);
    world.nowMs += 1000;
    const second = settled(again, world);
    assert.deepEqual([second.state, second.attempt, second.host], ["staging-in", 2, a2]);
  });

  it("follows a virtual machine with the same attempt, which nobody begins anew", () => {
    const world = new World();
    world.there = { kind: "vm", host: a1, state: "running" };
    const begun = settled(record(), world);
    world.there = { kind: "vm", host: a2, state: "running" };
    world.mayRunOn.clear();
    world.mayRunOn.add(a2);
    const moved = settled(begun, world);
    assert.deepEqual([moved.attempt, moved.host], [1, a2]);
    assert.deepEqual([jobPlanOf(moved)?.attempt, jobPlanOf(moved)?.adopt], [1, true]);
    world.tell(a2, 1, "done", { exitCode: 0 });
    assert.equal(settled(moved, world).state, "done");
  });

  it("ends a cancelled one without an attempt at once, and one that runs by its host's word", () => {
    const world = new World();
    const early = settled(record({ cancelled: true }), world);
    assert.deepEqual([early.state, "message" in early], ["cancelled", false]);
    const begun = settled(record({ job: job(3) }), world);
    const asked = { ...begun, cancelled: true as const };
    assert.equal(nextOfJob(asked, world), undefined);
    assert.equal(jobPlanOf(asked)?.cancelled, true);
    world.tell(a1, 1, "failed", { exitCode: 143 });
    const late = settled(asked, world);
    assert.deepEqual([late.state, "message" in late], ["cancelled", false], "its state says it");
  });

  it("never has two attempts that may run at once, whatever happens, and never the same one twice", () => {
    const events = fc.constantFrom("tell", "fail", "move", "left", "silence", "later", "suspend", "run");
    fc.assert(
      fc.property(fc.array(events, { maxLength: 40 }), (list) => {
        const world = new World();
        let now = record({ job: job(5) });
        const begun = new Map<number, HostId>();
        /** Where an attempt was begun that has not ended by its host's word, and whose host may still run it. */
        const open = new Map<number, HostId>();
        for (const event of list) {
          const { host, attempt } = now;
          if (event === "tell" && host !== undefined) world.tell(host, attempt, "running");
          if (event === "fail" && host !== undefined) {
            world.tell(host, attempt, "failed", { exitCode: 1 });
            open.delete(attempt);
          }
          if (event === "move") {
            const to = world.there?.host === a1 ? a2 : a1;
            world.there = { kind: "task", host: to, state: "running" };
            world.mayRunOn.add(to);
          }
          if (event === "left") {
            for (const one of [a1, a2]) if (one !== world.there?.host) world.mayRunOn.delete(one);
            for (const [number, where] of open) if (!world.mayRunOn.has(where)) open.delete(number);
          }
          if (event === "silence") world.there = { kind: "task", host: a1 };
          if (event === "suspend") world.there = { kind: "task", host: a1, state: "suspended" };
          if (event === "run") world.there = { kind: "task", host: a1, state: "running" };
          if (event === "silence" || event === "suspend" || event === "run") world.mayRunOn.add(a1);
          if (event === "later") world.nowMs += 5000;
          const next = nextOfJob(now, world) ?? now;
          if (next.attempt !== now.attempt) {
            assert.equal(begun.has(next.attempt), false);
            assert.deepEqual([...open.keys()], [], "another may still run");
            assert.ok(next.host !== undefined);
            begun.set(next.attempt, next.host);
            open.set(next.attempt, next.host);
          }
          now = next;
          if (isOver(now.state)) break;
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("jobPlans()", () => {
  it("tells every host of its jobs, in the same order whatever order they are kept in", () => {
    const jobs = ["c", "a", "b"].map((id) => record({ id, host: a1, attempt: 1, state: "running" }));
    const told = (list: readonly JobRecord[]): unknown =>
      jobPlans(list)
        .get(a1)
        ?.map((one) => one.id);
    assert.deepEqual(told(jobs), ["a", "b", "c"]);
    assert.deepEqual(told(jobs.toReversed()), ["a", "b", "c"]);
  });

  it("names the machine that is made for a job that brings its own", () => {
    const own = { ...job(), runsIn: { kind: "machine" } } as unknown as JobRecord["job"];
    assert.equal(applianceOf({ id: "render-1a2b3c4d", job: own }), "job-1a2b3c4d/machine");
  });
});
