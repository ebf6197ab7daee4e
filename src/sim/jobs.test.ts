import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import type { Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { JobRecord } from "#cluster/jobs.ts";
import { sampleTopology } from "#cluster/sample.ts";
import { fakeJobRuns, fakeJobs } from "#drivers/job/fake.ts";
import { isOver } from "#model/job.ts";
import type { JobSpec } from "#model/job.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { SimulatedCloud } from "#sim/cloud.ts";
import type { Fault } from "#sim/fault.ts";

const shop = sampleEnsemble("shop", {
  appliances: [
    sampleAppliance("web"),
    sampleAppliance("db"),
    sampleAppliance("log", { onHostLoss: "in-place" }),
  ],
});
const calmMs = 30_000;

function someJob(random: Random, index: number): JobSpec {
  const names = ["web", "db", "log"];
  const name = names[random.integer(names.length)] ?? "web";
  const own = random.integer(4) === 0;
  return {
    name: `job${index}`,
    runsIn: own
      ? { kind: "machine", machine: sampleAppliance("machine") }
      : { kind: "appliance", appliance: applianceId(ensembleName("shop"), applianceName(name)) },
    command:
      random.integer(8) === 0
        ? fakeJobs.stays()
        : fakeJobs.ends(random.integer(8000), random.integer(4) === 0 ? 1 : 0),
    env: {},
    stageIn: random.integer(2) === 0 ? [] : [{ url: "sftp://s/in", path: "in", ifThere: "overwrite" }],
    stageOut: random.integer(2) === 0 ? [] : [{ url: "sftp://s/out", path: "out" }],
    retry: { attemptsMax: 1 + random.integer(4), backoffMsMin: millis(200), backoffMsMax: millis(2000) },
    timeLimitMs: millis(12_000),
  };
}

function someFaults(random: Random): Fault[] {
  const hosts = ["a1", "a2", "b1", "b2"];
  const host = (): string => hosts[random.integer(hosts.length)] ?? "a1";
  return Array.from({ length: 6 }, (): Fault => {
    const atMs = 4000 + random.integer(calmMs - 14_000);
    const process = random.integer(3) === 0 ? "cluster/1" : `host/${host()}`;
    switch (random.integer(5)) {
      case 0:
        return { atMs, kind: "power-loss", host: host(), downForMs: 1000 + random.integer(9000) };
      case 1:
        return { atMs, kind: "cut", from: "*", to: `host/${host()}`, forMs: 500 + random.integer(9000) };
      case 2:
        return { atMs, kind: "full-disk", place: host(), forMs: 2000 };
      case 3:
        return { atMs, kind: "pause", process, forMs: 500 + random.integer(6000) };
      default: {
        const effect = random.integer(2) === 0 ? "none" : "done";
        return { atMs, kind: "crash-at-call", process, call: 1 + random.integer(60), effect, downForMs: 300 };
      }
    }
  });
}

const recordsOf = (cloud: SimulatedCloud): JobRecord[] =>
  cloud.stored("job/").map(({ value }) => value as JobRecord);

/** Fails at the event after which two attempts of one job run, or one was begun again. */
function watched(cloud: SimulatedCloud): void {
  cloud.onEvent(({ atMs }) => {
    const running = new Map<string, string>();
    const begins = new Map<string, number>();
    for (const [host, machine] of cloud.jobMachines()) {
      for (const [key, count] of machine.begins) {
        begins.set(key, (begins.get(key) ?? 0) + count);
        if (!fakeJobRuns(machine, key)) continue;
        const job = key.slice(0, key.lastIndexOf("."));
        assert.equal(
          running.get(job),
          undefined,
          `at ${atMs} ms ${key} on ${host} beside ${running.get(job)}`,
        );
        running.set(job, `${key} on ${host}`);
      }
    }
    for (const [key, count] of begins)
      assert.equal(count, 1, `at ${atMs} ms ${key} was begun ${count} times`);
  });
}

describe("jobs in a simulated cloud", () => {
  const seeds = Number(process.env["CONSORT_JOB_SEEDS"] ?? 12);
  const first = Number(process.env["CONSORT_SEED"] ?? 1);
  it("each attempt is begun at most once, no two of one job run at once, and every job ends", async () => {
    let done = 0;
    let again = 0;
    for (let seed = first; seed < first + seeds; seed += 1) {
      const random = seededRandom(seed);
      const cloud = new SimulatedCloud({
        topology: sampleTopology("vxlan"),
        seed,
        settings: { traceLinesKept: 60 },
      });
      cloud.start();
      watched(cloud);
      await cloud.runUntil(2000);
      cloud.client.ask("up", "shop", (service, signal) => service.up(shop, signal));
      for (const fault of someFaults(random)) cloud.inject(fault);
      const jobs = Array.from({ length: 8 }, (_, index) => someJob(random, index));
      for (const job of jobs) {
        cloud.at(3000 + random.integer(10_000), () => {
          cloud.client.ask("submit", job.name, (service, signal) => service.jobs.submit(job, signal));
        });
      }
      await cloud.runUntil(calmMs);
      const story = (): string =>
        `seed ${seed}: ${JSON.stringify(recordsOf(cloud).map(({ job: _job, ...one }) => one))}\n${cloud.traceLines().join("\n")}`;
      const allOver = await cloud.runUntilTrue(
        () => recordsOf(cloud).every((one) => isOver(one.state)),
        400_000,
      );
      assert.ok(allOver, story());
      const isGone = (): boolean => cloud.stored("ensemble/").length === 1;
      assert.ok(await cloud.runUntilTrue(isGone, cloud.nowMs + 60_000), `a machine is left, ${story()}`);
      for (const { state, attempt, job } of recordsOf(cloud)) {
        assert.ok(attempt <= job.retry.attemptsMax, story());
        if (state === "done") done += 1;
        if (attempt > 1) again += 1;
      }
    }
    assert.ok(done > seeds, `only ${done} jobs were done`);
    assert.ok(again > 0, "no job was tried again: the faults met none");
  });
});
