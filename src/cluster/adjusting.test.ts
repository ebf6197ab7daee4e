import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bitsPerSecond, mebibytes, megabitsPerSecond, micros, milliCpu, millis } from "#base/units.ts";
import { held, keepingAdjustments, renewed, resized } from "#cluster/adjusting.ts";
import type { Size } from "#cluster/adjusting.ts";
import { ensembleDocument, parseEnsembleDocument } from "#formats/ensemble.ts";
import { teamsByPath } from "#model/adjustments.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { ApplianceSpec, CpuReservation, Ensemble, MonitorSpec, TeamSpec } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { sampleVm } from "#model/sample-vm.ts";

const reservation = (executionMs: number): CpuReservation => ({
  kind: "reservation",
  periodUs: micros(40_000),
  executionUs: micros(executionMs * 1000),
});

const monitorOf = (appliance: string): MonitorSpec => ({
  name: "pages",
  appliance,
  everyMs: millis(1000),
  source: { kind: "http", url: "http://localhost/metrics" },
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
    const memory = sized({ transcoding: { memoryBytes: mebibytes(128), cpu: reservation(8) } });
    const smaller = sized({ transcoding: { memoryBytes: mebibytes(64) } }, memory.ensemble);
    assert.deepEqual(smaller.ensemble.adjustments, [{ appliance: "transcoding", cpu: reservation(8) }]);
    assert.deepEqual(sized({ transcoding: { memoryBytes: mebibytes(64) } }).ensemble.adjustments, []);
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

  it("lets what runs keep its name when it gets replicas or loses them, unless its file names it otherwise", () => {
    const web = (fields: Partial<ApplianceSpec>, rest: Partial<Ensemble> = {}): Ensemble =>
      sampleEnsemble("shop", { appliances: [sampleAppliance("web", fields)], ...rest });
    const names = (before: Ensemble | undefined, declared: Ensemble): readonly string[] =>
      appliancesOf(renewed(before, declared)).map(({ name }) => name);
    const [one, two] = [web({ replicas: 1 }), web({ replicas: 2 })];
    assert.deepEqual(names(undefined, two), ["web-1", "web-2"]);
    const grown = renewed(one, two);
    assert.deepEqual(names(one, two), ["web", "web-2"]);
    assert.deepEqual(renewed(grown, two), grown, "the same file again changes nothing");
    assert.deepEqual(names(grown, one), ["web"]);
    const shrunk = renewed(two, one);
    assert.deepEqual(names(two, one), ["web-1"]);
    assert.deepEqual(names(shrunk, web({ replicas: 3 })), ["web-1", "web-2", "web-3"]);
    assert.deepEqual(names(one, web({ replicas: 2, numbered: true })), ["web-1", "web-2"]);
    const monitored = web({ replicas: 2 }, { monitors: [monitorOf("web-1")] });
    assert.deepEqual(names(one, monitored), ["web-1", "web-2"], "a monitor names it");
    const read = parseEnsembleDocument(ensembleDocument(grown), "shop.yaml");
    assert.deepEqual(read.ok && read.value, grown);
  });

  it("gives a virtual machine other processors and limits of its disks, and keeps those that are not named", () => {
    const db = sampleVm("db", { vcpusMax: 4, disk: { readsPerSecond: 500 } });
    const before = sampleEnsemble("vod", { appliances: [db] });
    const first = sized({ db: { vcpus: 2, disk: { writeBytesPerSecond: mebibytes(10) } } }, before);
    assert.equal(first.summary, "db 1 vcpus → 2 vcpus, disks 500 reads/s → disks write 10MiB/s, 500 reads/s");
    const second = sized(
      { db: { disk: { readsPerSecond: 50 }, memoryBytes: mebibytes(64) } },
      first.ensemble,
    );
    assert.deepEqual(second.ensemble.adjustments, [
      {
        appliance: "db",
        memoryBytes: mebibytes(64),
        vcpus: 2,
        disk: { readsPerSecond: 50, writeBytesPerSecond: mebibytes(10) },
      },
    ]);
    const [{ spec } = { spec: undefined }] = appliancesOf(second.ensemble);
    assert.deepEqual([spec?.vm?.vcpus, spec?.vm?.vcpusMax], [2, 4]);
    const again = keepingAdjustments(second.ensemble, before).adjustments;
    assert.deepEqual(again, second.ensemble.adjustments, "the same file again leaves them");
    const declared = {
      ...before,
      appliances: [sampleVm("db", { vcpusMax: 4, disk: { readsPerSecond: 9 } })],
    };
    const [kept] = keepingAdjustments(second.ensemble, declared).adjustments ?? [];
    assert.deepEqual([kept?.vcpus, kept?.disk], [2, undefined], "what the file declares anew holds");
  });

  it("refuses more processors than a virtual machine may have, and any of what is none", () => {
    const machines = sampleEnsemble("vod", { appliances: [sampleVm("db")] });
    assert.throws(() => sized({ db: { vcpus: 2 } }, machines), {
      code: "bad_input",
      message:
        /^Cannot resize vod: db\.vcpus: 2 virtual processors, .*; declare vm: \{vcpusMax: 2\} in its file/,
    });
    const message = /vcpus: only a virtual machine has these/;
    assert.throws(() => sized({ streaming: { vcpus: 1 } }), { code: "bad_input", message });
  });

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

describe("resized() within an appliance", () => {
  const team = (name: string, executionMs: number, teams: readonly TeamSpec[] = []): TeamSpec => ({
    name,
    cpu: reservation(executionMs),
    policy: "round-robin",
    jobs: [["encode", name]],
    teams,
  });
  const divided = sampleEnsemble("vod", {
    appliances: [
      sampleAppliance("streaming", {
        cpu: reservation(24),
        teams: [team("encoders", 12, [team("deep", 2)]), team("muxers", 6)],
      }),
      sampleAppliance("other", { cpu: reservation(8) }),
    ],
  });
  const moved = (...moves: readonly [string, string, number][]) =>
    resized(divided, {
      sizes: new Map(),
      moves: moves.map(([from, to, ms]) => ({
        kind: "move-cpu",
        executionUs: micros(ms * 1000),
        from,
        to,
      })),
    });
  const parts = (ensemble: Ensemble): unknown =>
    [...teamsByPath(appliancesOf(ensemble)[0]?.spec.teams ?? [])].map(([path, { cpu, jobs }]) => [
      path,
      (cpu?.executionUs ?? 0) / 1000,
      jobs[0]?.[1],
    ]);

  it("gives teams other parts, and keeps those that are not named", () => {
    const once = sized({ streaming: { teams: [{ path: "encoders/deep", cpu: reservation(3) }] } }, divided);
    assert.deepEqual(once.changed, ["streaming"]);
    assert.equal(once.summary, "streaming team encoders/deep 2ms of 40ms → 3ms of 40ms");
    const twice = sized({ streaming: { teams: [{ path: "muxers", cpu: reservation(7) }] } }, once.ensemble);
    assert.deepEqual(parts(twice.ensemble), [
      ["encoders", 12, "encoders"],
      ["encoders/deep", 3, "deep"],
      ["muxers", 7, "muxers"],
    ]);
    const back = sized(
      {
        streaming: {
          teams: [
            { path: "muxers", cpu: reservation(6) },
            { path: "encoders/deep", cpu: reservation(2) },
          ],
        },
      },
      twice.ensemble,
    );
    assert.deepEqual(back.ensemble.adjustments, []);
  });

  it("moves between teams side by side, both or neither", () => {
    const { ensemble, summary } = moved(["streaming/encoders", "streaming/muxers", 4]);
    assert.deepEqual(parts(ensemble), [
      ["encoders", 8, "encoders"],
      ["encoders/deep", 2, "deep"],
      ["muxers", 10, "muxers"],
    ]);
    assert.equal(
      summary,
      "streaming team encoders 12ms of 40ms → 8ms of 40ms, team muxers 6ms of 40ms → 10ms of 40ms",
    );
    const refused = (expected: RegExp, ...moves: readonly [string, string, number][]): void =>
      assert.throws(() => moved(...moves), { code: "unsatisfiable", message: expected });
    refused(/leaves nothing/, ["streaming/muxers", "streaming/encoders", 6]);
    refused(/teams of streaming\/encoders have 5% reserved/, ["streaming/encoders", "streaming/muxers", 11]);
    refused(/not teams side by side/, ["streaming/encoders/deep", "streaming/muxers", 1]);
    refused(/not teams side by side/, ["streaming/muxers", "other", 1]);
    refused(/streaming has no team muxer$/, ["streaming/muxer", "streaming/encoders", 1]);
    refused(/there is no appliance nobody/, ["nobody/muxers", "nobody/encoders", 1]);
  });

  it("refuses parts that are more than the whole, and teams that are not there", () => {
    const refused = (expected: RegExp, path: string, executionMs: number): void =>
      assert.throws(
        () => sized({ streaming: { teams: [{ path, cpu: reservation(executionMs) }] } }, divided),
        { code: "bad_input", message: expected },
      );
    refused(/streaming\.teams: its teams reserve 62\.5% of a processor/, "muxers", 13);
    refused(/no team "muxer"; did you mean "muxers"\?/, "muxer", 1);
    assert.throws(() => sized({ streaming: { cpu: reservation(17) } }, divided), /its teams reserve 45%/);
  });

  it("leaves no more to be given than its teams have been given since", () => {
    const grown = sized({ streaming: { teams: [{ path: "muxers", cpu: reservation(10) }] } }, divided);
    const move = { kind: "move-cpu", executionUs: micros(4000), from: "streaming", to: "other" } as const;
    assert.throws(
      () => resized(grown.ensemble, { sizes: new Map(), moves: [move] }),
      /the teams of streaming have 55% reserved/,
    );
    resized(divided, { sizes: new Map(), moves: [move] });
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
