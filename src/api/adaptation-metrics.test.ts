import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { adaptationFamilies } from "#api/adaptation-metrics.ts";
import type { ApplianceStatus } from "#protocol/http/status.ts";

const appliance = (name: string, fields: Partial<ApplianceStatus>): ApplianceStatus => ({
  ensemble: "vod",
  name,
  kind: "task",
  state: "running",
  host: "a1",
  restarts: 0,
  addresses: [],
  cpuUsedMilli: 0,
  memoryUsedBytes: 0,
  ...fields,
});

const lines = adaptationFamilies([
  {
    name: "vod",
    state: "running",
    revision: 1,
    networks: [],
    links: [],
    appliances: [
      appliance("streaming", {
        cpuReservedMilli: 600,
        reservation: { executionUs: 24_000, periodUs: 40_000, dispatches: 1200, misses: 3 },
        traffic: { serviceClass: "gold", outBps: 5e6 },
      }),
      appliance("bare", { suspended: true }),
    ],
    measurements: [{ metric: "video.jitter", appliance: "streaming", value: 27.5, unit: "ms", atMs: 0 }],
    strategies: [{ name: "more", when: "video.jitter > 20ms", acted: 2, refused: 1 }],
  },
])
  .join("")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

describe("metrics of what is reserved and adapted", () => {
  it("tell only what there is, each with its appliance, metric or strategy", () => {
    const streaming = 'ensemble="vod",appliance="streaming",host="a1"';
    assert.deepEqual(lines, [
      `consort_appliance_cpu_reserved_cores{${streaming}} 0.6`,
      `consort_appliance_suspended{${streaming}} 0`,
      'consort_appliance_suspended{ensemble="vod",appliance="bare",host="a1"} 1',
      `consort_appliance_dispatches_total{${streaming}} 1200`,
      `consort_appliance_misses_total{${streaming}} 3`,
      `consort_appliance_traffic_promised_bits_per_second{${streaming},direction="out"} 5000000`,
      'consort_measurement{ensemble="vod",metric="video.jitter",appliance="streaming"} 27.5',
      'consort_strategy_firings_total{ensemble="vod",strategy="more",outcome="acted"} 2',
      'consort_strategy_firings_total{ensemble="vod",strategy="more",outcome="refused"} 1',
    ]);
  });
});
