import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { CheckpointsRecord } from "#cluster/checkpoints.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import { sampleCheckpoint } from "#model/sample-vm.ts";
import { checkpointLost, takenApart } from "#sim/checks/checkpoints-kept.ts";
import type { Stood } from "#sim/checks/checkpoints-kept.ts";

const [db, web] = ["db", "web"].map((name) => applianceId(ensembleName("shop"), applianceName(name)));

const checkpoint = (id: string, more: Partial<Checkpoint> = {}): Checkpoint => sampleCheckpoint(id, more);

const record = (...taken: { one: Checkpoint; on: readonly string[] }[]): CheckpointsRecord => ({
  appliance: taken[0]?.one.appliance ?? db!,
  taken: taken.map(({ one, on }) => ({ checkpoint: one, copies: on.map(hostId), missing: [] })),
});

/** "<host> <checkpoint>" of each part that is there. */
const has =
  (...there: readonly string[]) =>
  (host: string, digest: string): boolean =>
    there.includes(`${host} ${digest.slice("sha256:".length)}`);

describe("checkpointLost()", () => {
  const full = { one: checkpoint("1"), on: ["a", "b"] };
  const next = { one: checkpoint("2", { after: "1" }), on: ["a", "b"] };

  it("holds while every host that is named has the whole chain", () => {
    const hasAll = has("a 1", "a 2", "b 1", "b 2");
    assert.equal(checkpointLost([record(full, next)], hasAll), undefined);
  });

  it("tells of a host that has the newest and lacks what that was taken after", () => {
    const breach = checkpointLost([record({ ...full, on: ["a"] }, next)], has("a 1", "a 2", "b 2"));
    assert.equal(breach?.invariant, "checkpoints-kept");
    assert.match(breach?.message ?? "", /checkpoint 2 of shop\/db is told complete on b/);
  });

  it("tells of one whose base is not on record any more, and of two copies on one host", () => {
    const everything = (): boolean => true;
    assert.match(
      checkpointLost([record(next)], everything)?.message ?? "",
      /without what it was taken after/,
    );
    const twice = { ...full, on: ["a", "a"] };
    assert.match(checkpointLost([record(twice)], everything)?.message ?? "", /two copies/);
  });
});

describe("takenApart()", () => {
  const records = [db!, web!].map((appliance) =>
    record({ one: checkpoint("1", { appliance, group: "r" }), on: ["a"] }),
  );
  const stood = (ofDb: Stood, ofWeb: Stood) => (appliance: string) => (appliance === db ? ofDb : ofWeb);

  it("tells of machines of one group that never stood still together", () => {
    const together = stood({ fromMs: 1, toMs: 5 }, { fromMs: 4, toMs: 9 });
    assert.equal(takenApart(records, together), undefined);
    const apart = takenApart(records, stood({ fromMs: 1, toMs: 3 }, { fromMs: 4, toMs: 9 }));
    assert.equal(apart?.message, "r: shop/db went on before shop/web stood still");
  });

  it("asks nothing of those that are of no group", () => {
    const alone = [db!, web!].map((appliance) => record({ one: checkpoint("1", { appliance }), on: ["a"] }));
    assert.equal(takenApart(alone, stood({ fromMs: 1, toMs: 3 }, { fromMs: 4, toMs: 9 })), undefined);
  });
});
