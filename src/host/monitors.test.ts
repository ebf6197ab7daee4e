import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { ensembleName, hostId } from "#base/ids.ts";
import { limits } from "#base/limits.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { fakeBus } from "#drivers/messaging/fake.ts";
import { FakeMonitorDriver } from "#drivers/monitor/fake.ts";
import { silentLog } from "#drivers/system/log.ts";
import { HostMonitors } from "#host/monitors.ts";
import { applianceIn, planned, seen } from "#host/sample.ts";
import type { HostPlan, MonitorPlan } from "#protocol/host-plan.ts";
import type { Measurements } from "#protocol/host-report.ts";
import { clusterAddress, hostAddress, topics } from "#protocol/topics.ts";

const video: MonitorPlan = {
  ensemble: ensembleName("shop"),
  name: "video",
  appliance: applianceIn("web"),
  everyMs: millis(200),
  source: { kind: "rtp", port: 5004 },
};

const plan = (monitors: readonly MonitorPlan[], generation = "g1"): HostPlan => ({
  host: hostId("a1"),
  epoch: 1,
  revision: 1,
  appliances: [planned("web", { generation })],
  segments: [],
  shapedPairs: [],
  tunnels: [],
  monitors,
});

class Desk {
  readonly clock = new ManualClock();
  readonly bus = fakeBus(silentLog);
  readonly driver = new FakeMonitorDriver();
  readonly told: Measurements[] = [];
  readonly life = new AbortController();
  appliances: ApplianceObservation[] = [seen("web")];
  readonly monitors: HostMonitors;

  constructor() {
    this.bus.connect(clusterAddress).answer(topics.measurements, async ({ body }) => {
      this.told.push(body as Measurements);
      return {};
    });
    this.monitors = new HostMonitors({
      host: hostId("a1"),
      clock: this.clock,
      log: silentLog,
      messaging: this.bus.connect(hostAddress("a1")),
      appliances: { observe: () => this.appliances },
      driver: this.driver,
    });
  }

  follow(monitors: readonly MonitorPlan[], generation?: string): void {
    this.monitors.follow(plan(monitors, generation), this.life.signal);
  }

  /** In steps, so that everything due in between is done in its order. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      this.clock.advance(millis(10));
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  samples(): (readonly [string, number])[] {
    return this.told.flatMap(({ samples }) =>
      samples.map(({ monitor, metric, value }) => [`${monitor}.${metric}`, value] as const),
    );
  }

  problems(): (string | undefined)[] {
    return this.told.flatMap(({ problems = [] }) => problems.map(({ message }) => message));
  }
}

describe("HostMonitors", () => {
  let desk = new Desk();
  beforeEach(() => {
    desk = new Desk();
  });
  afterEach(() => desk.life.abort(new Error("over")));

  it("tells what is measured as it comes, many values with one message", async () => {
    desk.driver.measure = () => [
      { metric: "jitter", value: 3 },
      { metric: "loss", value: 0 },
    ];
    desk.follow([video, { ...video, name: "audio" }]);
    await desk.pass(1000);
    const values = desk.samples().filter(([name]) => name === "video.jitter");
    assert.ok(values.length >= 4 && values.length <= 6, `${values.length} in a second`);
    assert.ok(desk.told.length <= 1000 / limits.measurementsEveryMs);
    assert.equal(desk.told.at(-1)?.samples.length, 4, "of both monitors together");
    assert.deepEqual(desk.told[0]?.samples[0], {
      ensemble: "shop",
      monitor: "video",
      appliance: "shop/web",
      metric: "jitter",
      value: 3,
      atMs: desk.told[0]?.samples[0]?.atMs,
    });
  });

  it("stops what is no longer wanted at once, and makes anew what changed", async () => {
    desk.follow([video, { ...video, name: "audio" }]);
    await desk.pass(100);
    assert.deepEqual(
      [...desk.driver.plugged].map(({ name }) => name),
      ["video", "audio"],
    );
    desk.follow([{ ...video, everyMs: millis(50) }]);
    assert.deepEqual(
      [...desk.driver.plugged].map(({ everyMs }) => everyMs),
      [50],
    );
    desk.follow([]);
    assert.deepEqual([...desk.driver.plugged], []);
    const before = desk.samples().length;
    await desk.pass(1000);
    assert.ok(desk.samples().length <= before + 1, "what was measured before may still be told");
  });

  it("leaves alone what is as it was", async () => {
    desk.follow([video]);
    await desk.pass(100);
    const [probe] = desk.driver.plugged;
    desk.follow([structuredClone(video)]);
    assert.equal([...desk.driver.plugged][0], probe);
  });

  it("lets go of an appliance before another generation of it is made, and waits for that", async () => {
    desk.follow([video]);
    await desk.pass(100);
    desk.follow([video], "g2");
    assert.deepEqual([...desk.driver.plugged], []);
    desk.appliances = [seen("web", { generation: "g2" })];
    desk.follow([video], "g2");
    await desk.pass(100);
    assert.equal(desk.driver.plugged.size, 1);
  });

  it("measures nothing of what does not run, and does not take that for a problem", async () => {
    desk.appliances = [seen("web", { state: "suspended" })];
    desk.follow([video]);
    await desk.pass(1000);
    assert.deepEqual(desk.told, []);
    desk.appliances = [seen("web")];
    await desk.pass(500);
    assert.ok(desk.samples().length > 0);
  });

  it("tells a problem once, and once that it is over", async () => {
    desk.driver.measure = () => new Error("no number");
    desk.follow([video]);
    await desk.pass(1000);
    assert.deepEqual(desk.problems(), ["no number"]);
    desk.driver.measure = () => [{ metric: "", value: 1 }];
    await desk.pass(1000);
    assert.deepEqual(desk.problems(), ["no number", undefined]);
  });

  it("tells a problem until it is heard, but no value twice", async () => {
    desk.bus.cut(clusterAddress);
    desk.driver.measure = () => new Error("no number");
    desk.follow([video]);
    await desk.pass(3000);
    desk.bus.mend(clusterAddress);
    desk.driver.measure = () => [];
    await desk.pass(3000);
    assert.deepEqual(desk.problems(), [undefined], "it is over, which the manager may not know");
    assert.deepEqual(desk.samples(), []);
  });

  it("gives up on what takes too long, and tries again", async () => {
    let asked = 0;
    desk.driver.measure = (_, signal) => {
      asked += 1;
      return new Promise((_resolve, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true }),
      );
    };
    desk.follow([video]);
    await desk.pass(limits.monitorReadMsMin * 3);
    assert.deepEqual(desk.problems(), [`Not done within ${limits.monitorReadMsMin} ms`]);
    assert.ok(asked >= 2 && asked <= 4, `asked ${asked} times`);
  });

  it("runs only so many programs at once, however many monitors there are, and none waits for ever", async () => {
    let running = 0;
    let most = 0;
    const asked = new Set<string>();
    desk.driver.measure = async ({ name }) => {
      asked.add(name);
      most = Math.max(most, (running += 1));
      await desk.clock.sleep(millis(100), desk.life.signal);
      running -= 1;
      return [];
    };
    const source = { kind: "script", command: ["true"] } as const;
    desk.follow(Array.from({ length: 40 }, (_, index) => ({ ...video, name: `m${index}`, source })));
    await desk.pass(700);
    assert.equal(most, limits.monitorProgramsAtOnce);
    assert.equal(asked.size, 40);
  });

  it("keeps only the newest values while nobody hears them", async () => {
    const values = Array.from({ length: 60 }, (_, index) => ({ metric: `m${index}`, value: index }));
    desk.driver.measure = () => values;
    desk.bus.cut(clusterAddress);
    desk.follow([{ ...video, everyMs: millis(20) }]);
    await desk.pass(2000);
    desk.bus.mend(clusterAddress);
    await desk.pass(1500);
    assert.ok(desk.told.length > 0);
    for (const { samples } of desk.told) assert.ok(samples.length <= limits.measurementsPerMessage);
  });

  it("tells that it cannot measure where the host has nothing to measure with", async () => {
    const bare = new HostMonitors({
      host: hostId("a1"),
      clock: desk.clock,
      log: silentLog,
      messaging: desk.bus.connect(hostAddress("a2")),
      appliances: { observe: () => desk.appliances },
    });
    bare.follow(plan([video]), desk.life.signal);
    await desk.pass(500);
    assert.deepEqual(desk.problems(), ["Cannot measure shop/web: this host has no monitors"]);
  });

  it("leaves nothing plugged in when its host manager ends", async () => {
    desk.follow([video]);
    await desk.pass(100);
    desk.life.abort(new Error("stopped"));
    await desk.pass(10);
    assert.deepEqual([...desk.driver.plugged], []);
  });

  it("does not wake a host that has no monitors", async () => {
    let sleeps = 0;
    desk.clock.sleep = () => {
      sleeps += 1;
      return new Promise(() => {});
    };
    desk.follow([]);
    await desk.pass(100);
    assert.equal(sleeps, 0);
  });
});
