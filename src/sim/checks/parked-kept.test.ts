import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { CheckpointsRecord } from "#cluster/checkpoints.ts";
import { onDisk, parkedLost, parkedRuns } from "#sim/checks/parked-kept.ts";

const db = applianceId(ensembleName("shop"), applianceName("db"));
const [a, b] = ["a", "b"].map(hostId);
const parked = new Map([[db, "s-1"]]);
const content = { digest: "sha256:1", sizeBytes: 1, compression: "none", contentBytes: 1 } as const;
const record = {
  appliance: db,
  taken: [
    {
      checkpoint: {
        id: "s-1",
        appliance: db,
        generation: "g",
        takenAtMs: millis(0),
        disks: [{ disk: "root", content }],
        machine: "m",
        pauseMs: millis(0),
      },
      copies: [a!],
      missing: [],
    },
  ],
} as unknown as CheckpointsRecord;

describe("onDisk()", () => {
  it("names those that are on disk, and none that is on its way there or being removed", () => {
    const on = { state: "on-disk", checkpoint: "s-1", host: a! } as const;
    const saving = { state: "saving", checkpoint: "s-2", sinceMs: 0 } as const;
    assert.deepEqual(onDisk([{ state: "present", parked: { [db]: on } }]), parked);
    assert.equal(onDisk([{ state: "present", parked: { [db]: saving } }]).size, 0);
    assert.equal(onDisk([{ state: "removing", parked: { [db]: on } }]).size, 0);
  });
});

describe("parkedLost()", () => {
  it("holds as long as any host has all of it", () => {
    assert.equal(
      parkedLost(parked, [record], [a!, b!], (host) => host === b),
      undefined,
    );
  });

  it("tells of one that nobody has, and of one without a record", () => {
    const nobody = parkedLost(parked, [record], [a!, b!], () => false);
    assert.equal(nobody?.message, "shop/db is on disk as s-1, and no host has all of that");
    assert.match(parkedLost(parked, [], [a!], () => true)?.message ?? "", /no record/);
  });
});

describe("parkedRuns()", () => {
  it("tells of a machine that is on disk and executes all the same", () => {
    const machine = (executes: boolean) => [{ host: a!, appliances: [{ id: db, executes }] }];
    assert.equal(parkedRuns(parked, machine(false)), undefined);
    assert.equal(parkedRuns(parked, machine(true))?.message, "shop/db is suspended to disk and runs on a");
    assert.equal(parkedRuns(new Map(), machine(true)), undefined);
  });
});
