import assert from "node:assert/strict";
import { test } from "node:test";
import { applianceId, applianceName, hostId } from "#base/ids.ts";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { StrategiesSeen } from "#cluster/strategies-seen.ts";
import type { StrategySpec } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

const ensemble = sampleEnsemble("vod", {
  appliances: [sampleAppliance("streaming")],
  monitors: [
    { name: "video", appliance: "streaming", everyMs: millis(200), source: { kind: "rtp", port: 5004 } },
  ],
  strategies: [
    {
      name: "hold",
      when: { metric: "video.jitter", comparison: ">", threshold: 20 },
      forMs: millis(0),
      actions: [{ kind: "suspend", appliance: "streaming" }],
      cooldownMs: millis(5000),
    } satisfies StrategySpec,
  ],
});
const streaming = applianceId(ensemble.name, applianceName("streaming"));

const placedOn = (host: string): EnsembleRecord => ({
  ensemble,
  state: "present",
  placements: { [streaming]: hostId(host) },
  paths: [],
  networks: {},
  interfaces: {},
  leaving: {},
  unleased: {},
  operation: "none",
  revision: 1,
});

test("that a strategy cannot act is news once, until it could, for another reason, or after a while", () => {
  const clock = new ManualClock();
  const seen = new StrategiesSeen(ensemble.name, clock);
  seen.hear(placedOn("a1"), hostId("a1"), []);
  const isNews = (outcome: "acted" | "refused", reason: string, afterMs = 5_000): boolean => {
    clock.advance(millis(afterMs));
    return seen.isNews("hold", outcome, reason);
  };
  assert.equal(isNews("refused", "nothing left"), true);
  for (let again = 0; again < 10; again += 1) assert.equal(isNews("refused", "nothing left"), false);
  assert.equal(isNews("refused", "the host is full"), true);
  assert.equal(isNews("refused", "nothing left"), true);
  assert.equal(isNews("acted", "done"), true);
  assert.equal(isNews("acted", "done"), true);
  assert.equal(isNews("refused", "nothing left"), true);
  assert.equal(isNews("refused", "nothing left", 20_000), false);
  assert.equal(isNews("refused", "nothing left", 20_001), true, "two cooldowns of 5 s and 10 s of lateness");
});

test("a cooldown goes on while its appliance moves to hosts that are up for longer, or for less", () => {
  const clock = new ManualClock();
  const seen = new StrategiesSeen(ensemble.name, clock);
  const firings = (host: string, hostAtMs: number): number =>
    seen.hear(placedOn(host), hostId(host), [
      {
        ensemble: ensemble.name,
        monitor: "video",
        appliance: streaming,
        metric: "jitter",
        value: 30,
        atMs: millis(hostAtMs),
      },
    ]).length;
  assert.equal(firings("a1", 1_000), 1);
  clock.advance(millis(1_000));
  assert.equal(firings("a2", 9_000_000), 0, "up for hours");
  clock.advance(millis(1_000));
  assert.equal(firings("a3", 10), 0, "just begun");
  clock.advance(millis(2_900));
  assert.equal(firings("a3", 2_910), 0, "0.1 s too early");
  clock.advance(millis(200));
  assert.equal(firings("a3", 3_110), 1);
});

test("a spell of failing begins once, whatever the reasons, and ends on the host that measures now", () => {
  const clock = new ManualClock();
  const seen = new StrategiesSeen(ensemble.name, clock);
  const tell = (host: string, message?: string): "began" | "over" | undefined =>
    seen.hearProblem(placedOn("a1"), hostId(host), {
      ensemble: ensemble.name,
      monitor: "video",
      appliance: streaming,
      ...(message === undefined ? {} : { message }),
    });
  assert.equal(tell("a1", "too slow"), "began");
  const beganAtMs = clock.now();
  clock.advance(millis(1000));
  assert.equal(tell("a1", "no such file"), undefined);
  assert.equal(tell("a1", "too slow"), undefined);
  assert.equal(tell("a2"), undefined, "where it was before");
  assert.deepEqual(seen.monitors(placedOn("a1")), [
    { name: "video", appliance: "streaming", problem: "too slow", sinceMs: beganAtMs },
  ]);
  assert.deepEqual(seen.monitors(placedOn("a2")), [{ name: "video", appliance: "streaming" }]);
  assert.equal(tell("a1"), "over");
  assert.deepEqual(seen.monitors(placedOn("a1")), [{ name: "video", appliance: "streaming" }]);
  assert.equal(tell("a1", "too slow"), "began", "another spell");
});
