import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bitsPerSecond, mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import { held, keepingAdjustments, resized } from "#cluster/adjusting.ts";
import type { Size } from "#cluster/adjusting.ts";
import type { CpuReservation, Ensemble } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";

const reservation = (executionMs: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(40_000),
  executionUs: micros(executionMs * 1000),
});

const vod = sampleEnsemble("vod", {
  appliances: [
    sampleAppliance("streaming", {
      cpu: reservation(24),
      traffic: { serviceClass: "gold", outBps: megabitsPerSecond(5), outCeilingBps: megabitsPerSecond(6) },
    }),
    sampleAppliance("transcoding", { cpu: reservation(16), memoryBytes: mebibytes(64) }),
    sampleAppliance("viewer", { replicas: 2, suspended: true }),
  ],
});

const sized = (sizes: Readonly<Record<string, Size>>, ensemble: Ensemble = vod) =>
  resized(ensemble, { sizes: new Map(Object.entries(sizes)), moves: [] });

describe("resized()", () => {
  it("gives new sizes beside what is declared, and tells what they were", () => {
    const { ensemble, changed, summary } = sized({
      streaming: { cpu: reservation(32), outBps: megabitsPerSecond(7) },
      transcoding: { memoryBytes: mebibytes(128) },
    });
    assert.deepEqual(ensemble.adjustments, [
      {
        appliance: "streaming",
        cpu: reservation(32),
        traffic: { serviceClass: "gold", outBps: 7e6, outCeilingBps: 7e6 },
      },
      { appliance: "transcoding", memoryBytes: mebibytes(128) },
    ]);
    assert.deepEqual(ensemble.appliances, vod.appliances);
    assert.deepEqual(changed, ["streaming", "transcoding"]);
    assert.equal(
      summary,
      "streaming 24ms of 40ms → 32ms of 40ms, 5Mbit/s out → 7Mbit/s out; transcoding 64MiB → 128MiB",
    );
  });

  it("leaves nothing adjusted when all has its declared size again", () => {
    const { ensemble } = sized({ streaming: { cpu: reservation(32) } });
    const back = sized({ streaming: { cpu: reservation(24) } }, ensemble);
    assert.deepEqual(back.ensemble.adjustments, []);
    assert.deepEqual(sized({ streaming: { cpu: reservation(24) } }).changed, []);
  });

  it("moves from one to the other in one change, after the sizes", () => {
    const { ensemble } = resized(vod, {
      sizes: new Map([["transcoding", { memoryBytes: mebibytes(32) }]]),
      moves: [{ kind: "move-cpu", executionUs: micros(8000), from: "transcoding", to: "streaming" }],
    });
    const after = new Map(ensemble.adjustments?.map((one) => [one.appliance, one]));
    assert.deepEqual(after.get("transcoding"), {
      appliance: "transcoding",
      cpu: reservation(8),
      memoryBytes: mebibytes(32),
    });
    assert.deepEqual(after.get("streaming")?.cpu, reservation(32));
  });

  it("promises traffic where none was declared", () => {
    const { ensemble } = sized({ viewer: { inBps: bitsPerSecond(1e6) } });
    assert.deepEqual(ensemble.adjustments, [
      { appliance: "viewer-1", traffic: { serviceClass: "best-effort", inBps: 1e6 } },
      { appliance: "viewer-2", traffic: { serviceClass: "best-effort", inBps: 1e6 } },
    ]);
  });

  const refusals: readonly (readonly [string, Readonly<Record<string, Size>>, string, RegExp])[] = [
    ["a stranger", { web: {} }, "not_found", /vod\/web: vod has no such appliance, it has streaming, trans/],
    [
      "a limit that is not declared",
      { streaming: { memoryBytes: mebibytes(1) } },
      "bad_input",
      /vod\/streaming: it is declared without memory, and to be limited it must be restarted/,
    ],
    [
      "a share for a reservation",
      { streaming: { cpu: { kind: "share", shareMilli: milliCpu(100), limitMilli: milliCpu(100) } } },
      "bad_input",
      /a share of CPU, but CPU time per period is declared/,
    ],
  ];
  for (const [what, sizes, code, message] of refusals) {
    it(`refuses ${what}`, () => assert.throws(() => sized(sizes), { code, message }));
  }

  it("refuses more memory than a virtual machine has room for, and tells what to declare", () => {
    const ensemble = sampleEnsemble("vod", { appliances: [sampleVm("db")] });
    assert.throws(() => sized({ db: { memoryBytes: mebibytes(4096) } }, ensemble), {
      code: "bad_input",
      message:
        /^Cannot resize vod: db\.memory: 4GiB of memory, its guest .*; declare vm: \{memoryMax: 4GiB\} in its file/,
    });
  });

  it("refuses a size its own teams do not fit into", () => {
    const teams = [{ name: "enc", cpu: reservation(10), policy: "together", jobs: [], teams: [] }] as const;
    const ensemble = sampleEnsemble("vod", {
      appliances: [sampleAppliance("streaming", { cpu: reservation(24), teams })],
    });
    assert.throws(() => sized({ streaming: { cpu: reservation(9) } }, ensemble), {
      code: "bad_input",
      message: /its teams reserve 25% of a processor, "streaming" only 22\.5%/,
    });
  });
});

describe("held()", () => {
  it("suspends all of an ensemble, and resumes what is declared suspended", () => {
    const all = held(vod, "suspend", []);
    assert.deepEqual(all.changed, ["streaming", "transcoding"]);
    const viewers = held(vod, "resume", ["viewer"]);
    assert.deepEqual(viewers.ensemble.adjustments, [
      { appliance: "viewer-1", suspended: false },
      { appliance: "viewer-2", suspended: false },
    ]);
    assert.equal(viewers.summary, "viewer-1 suspended → running; viewer-2 suspended → running");
    assert.deepEqual(held(viewers.ensemble, "suspend", ["viewer-1"]).ensemble.adjustments, [
      { appliance: "viewer-2", suspended: false },
    ]);
  });
});

describe("keepingAdjustments()", () => {
  const adjusted: Ensemble = {
    ...vod,
    adjustments: [
      { appliance: "streaming", cpu: reservation(32), suspended: true },
      { appliance: "viewer-2", suspended: false },
    ],
  };

  it("keeps them when the same file is brought up again", () => {
    assert.deepEqual(keepingAdjustments(adjusted, vod).adjustments, adjusted.adjustments);
  });

  it("drops those of fields that the file declares anew, and of appliances that are gone", () => {
    const [streaming, ...others] = vod.appliances;
    assert.ok(streaming);
    const file = {
      ...vod,
      appliances: [{ ...streaming, cpu: reservation(20) }, ...others.filter(({ name }) => name !== "viewer")],
    };
    assert.deepEqual(keepingAdjustments(adjusted, file).adjustments, [
      { appliance: "streaming", suspended: true },
    ]);
  });

  it("takes a file at its word that says itself what is adjusted", () => {
    assert.deepEqual(keepingAdjustments(adjusted, { ...vod, adjustments: [] }).adjustments, []);
  });
});
