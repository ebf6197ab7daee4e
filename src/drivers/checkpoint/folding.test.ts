import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { TakenRecord } from "#drivers/checkpoint/chain-record.ts";
import type { Checkpoint } from "#model/checkpoint.ts";
import { withFold } from "./folding.ts";

const appliance = applianceId(ensembleName("shop"), applianceName("db"));
const [a, b, c]: HostId[] = ["a", "b", "c"].map(hostId);

const checkpoint = (id: string, after?: string): Checkpoint => ({
  id,
  appliance,
  generation: "g",
  takenAtMs: millis(0),
  disks: [],
  machine: "m",
  pauseMs: millis(0),
  ...(after === undefined ? {} : { after }),
});

const taken = (one: Checkpoint, copies: readonly (HostId | undefined)[]): TakenRecord => ({
  checkpoint: one,
  copies: copies.flatMap((host) => host ?? []),
  missing: [],
});

describe("withFold()", () => {
  const record = {
    appliance,
    beganFrom: "1",
    taken: [
      taken(checkpoint("1"), [a, b]),
      taken(checkpoint("2", "1"), [a, b]),
      taken(checkpoint("3", "2"), [a, c]),
    ],
  };
  const full = checkpoint("2");
  const after = withFold(record, full, { copies: [a, b].flatMap((host) => host ?? []), missing: [] });

  it("puts the full one in the place of all that it was made of", () => {
    assert.deepEqual(
      after.taken.map((one) => [one.checkpoint.id, one.checkpoint.after]),
      [
        ["2", undefined],
        ["3", "2"],
      ],
    );
  });

  it("tells no copy of a later one where the full one is not", () => {
    assert.deepEqual(
      after.taken.map(({ copies, missing }) => [copies, missing]),
      [
        [[a, b], []],
        [[a], [c]],
      ],
    );
  });

  it("tells no later one to be in a store where the full one is not", () => {
    const [one, two, three] = record.taken;
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    const inStores = { ...record, taken: [one, { ...two, store: "s3://a" }, { ...three, store: "s3://a" }] };
    const storesOf = (store: string | undefined): unknown[] =>
      withFold(inStores, full, {
        copies: [],
        missing: [],
        ...(store === undefined ? {} : { store }),
      }).taken.map((kept) => kept.store);
    assert.deepEqual(storesOf("s3://a"), ["s3://a", "s3://a"]);
    assert.deepEqual(storesOf("s3://b"), ["s3://b", undefined]);
    assert.deepEqual(storesOf(undefined), [undefined, undefined]);
  });

  it("has the machine begin from the full one when what it began from is in it", () => {
    assert.equal(after.beganFrom, "2");
    assert.equal(withFold({ ...record, beganFrom: "3" }, full, { copies: [], missing: [] }).beganFrom, "3");
  });

  it("keeps what lay below and another one was taken after", () => {
    const branched = { ...record, taken: [...record.taken, taken(checkpoint("4", "1"), [a, b])] };
    const kept = withFold(branched, full, { copies: [], missing: [] });
    assert.deepEqual(
      kept.taken.map((one) => one.checkpoint.id),
      ["1", "2", "3", "4"],
    );
    assert.equal(kept.beganFrom, "1");
  });
});
