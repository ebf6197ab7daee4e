import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { nextRestores } from "#cluster/refused-restores.ts";
import type { RestoreRecord } from "#cluster/checkpoints.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { sampleRecord } from "#cluster/sample.ts";
import { sampleCheckpoint, sampleVm } from "#model/sample-vm.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { CheckpointReport, HostReport, RestoreRefusal } from "#protocol/host-report.ts";

const db = "shop/db" as ApplianceId;
const [a1, a2] = [hostId("a1"), hostId("a2")];

const taken = (id: string, after?: string): CheckpointReport => ({
  checkpoint: sampleCheckpoint(id, after === undefined ? {} : { after }),
  copies: [a1, a2],
  missing: [],
});

const restarts = { backoffMsMin: millis(1), backoffMsMax: millis(1) };
const recordOf = (restore: RestoreRecord, when: "always" | "never" = "always"): EnsembleRecord => ({
  ...sampleRecord(
    sampleEnsemble("shop", {
      appliances: [sampleVm("db", {}, { restart: { when, ...restarts } }), sampleAppliance("web")],
    }),
    { db: "a1", web: "a1" },
  ),
  restores: { [db]: restore },
});

const all = [taken("p-1"), taken("p-2", "p-1"), taken("p-3")];
const newest: RestoreRecord = { checkpoints: [all[2]!.checkpoint], copies: { hosts: [a1] }, again: 0 };

const world = (refused: Partial<RestoreRefusal> = {}, there: readonly HostId[] = [a1, a2]) => ({
  report: () =>
    ({
      appliances: [
        { id: db, vm: { refused: { checkpoint: "p-3", why: "no", times: 3, final: true, ...refused } } },
      ],
    }) as unknown as HostReport,
  known: () => ({ appliance: db, taken: all }),
  isThere: (host: HostId) => there.includes(host),
});

/** What it is to begin from, after so many refusals. */
function refusing(record: EnsembleRecord, refusals: readonly string[], there?: readonly HostId[]) {
  let next = record;
  const said: string[] = [];
  for (const checkpoint of refusals) {
    const step = nextRestores(next, world({ checkpoint }, there));
    next = step.record;
    said.push(...step.news.map(({ message }) => message));
  }
  const { checkpoints = [], cold, again, refused } = next.restores?.[db] ?? {};
  return { chain: checkpoints.map(({ id }) => id), cold: cold === true, again, refused, said };
}

describe("nextRestores()", () => {
  it("takes the next older complete one, with all that it differs from, and tells why", () => {
    const { said, ...next } = refusing(recordOf(newest), ["p-3"]);
    assert.deepEqual(next, { chain: ["p-2", "p-1"], cold: false, again: 1, refused: ["p-3"] });
    assert.deepEqual(said, ["p-3, tried 3 times: no; it goes on from p-2 instead"]);
  });

  it("begins from the disks of the last one when all were refused, where it may be started again", () => {
    const { said, ...next } = refusing(recordOf(newest), ["p-3", "p-2", "p-1"]);
    assert.deepEqual(next, { chain: ["p-1"], cold: true, again: 3, refused: ["p-3", "p-2", "p-1"] });
    assert.match(said[2] ?? "", /started anew from its disks as they were in p-1$/);
    assert.deepEqual(
      refusing(recordOf(newest), ["p-3", "p-2", "p-1", "p-1"]).again,
      3,
      "a cold one is no restore",
    );
    const stays = refusing(recordOf(newest, "never"), ["p-3", "p-2", "p-1"]);
    assert.deepEqual([stays.chain, stays.cold, stays.again, stays.said.length], [["p-1"], false, 2, 2]);
  });

  it("does nothing before its host has given up on the one it is to go on from", () => {
    const record = recordOf(newest);
    for (const refused of [{ times: 2, final: undefined }, { checkpoint: "p-2" }]) {
      const { final: _not, ...rest } = { checkpoint: "p-3", why: "no", times: 3, final: true, ...refused };
      const told = refused.checkpoint === undefined ? rest : { ...rest, final: true };
      const host = { ...world(), report: () => reportOf(told) };
      assert.equal(nextRestores(record, host).record, record);
    }
    const removing = { ...record, state: "removing" as const };
    assert.equal(nextRestores(removing, world()).record, removing);
  });

  it("takes none of which no copy can be had", () => {
    assert.deepEqual(refusing(recordOf(newest), ["p-3"], []).cold, true);
    assert.deepEqual(refusing(recordOf(newest, "never"), ["p-3"], []).again, 0);
  });
});

const reportOf = (refused: object): HostReport =>
  ({ appliances: [{ id: db, vm: { refused } }] }) as unknown as HostReport;
