import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import {
  afterStep,
  checkNotMoving,
  moveOf,
  movePlan,
  nextStep,
  ownerOf,
  placesOf,
  withCancelledMoves,
  withMoves,
} from "#cluster/moves.ts";
import type { Move, MoveSeen, Reroute } from "#cluster/moves.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import type { MoveReport } from "#protocol/host-report.ts";

const id = applianceId(ensembleName("shop"), applianceName("db"));
const [a, b] = [hostId("a"), hostId("b")];

const ensemble = { name: ensembleName("shop"), appliances: [], links: [], networks: [] };
const before = {
  ensemble,
  state: "present",
  placements: { [id]: a },
  paths: [],
  leaving: {},
  unleased: {},
} as unknown as EnsembleRecord;
const placed = { ...before, placements: { [id]: b }, leaving: { [id]: [a] } } as EnsembleRecord;
const moving = withMoves(before, placed, [id], () => ({ move: "m", token: "t" }));
const begun = moving.moves?.[id] as Move;

/** All are where they were. */
const reroute: Reroute = (_record, pathsBefore) => pathsBefore;

const unseen: MoveSeen = { leaving: undefined, arriving: undefined, isFromLost: false, isToLost: false };
const told = (
  side: MoveReport["side"],
  phase: MoveReport["phase"],
  more: Partial<MoveReport> = {},
): MoveReport => ({
  move: "m",
  side,
  phase,
  ...more,
});
const leaving = (phase: MoveReport["phase"], more?: Partial<MoveReport>): MoveSeen => ({
  ...unseen,
  leaving: told("leaving", phase, more),
});
const stateAfter = (move: Move, seen: MoveSeen): string => {
  const step = nextStep(move, seen);
  return step.kind === "goes on" ? step.move.state : step.kind;
};

describe("a move's record", () => {
  it("says that the host it leaves owns it until that one has sent all of it, and both are told of it", () => {
    assert.equal(ownerOf(moving, id), a);
    assert.deepEqual(placesOf(moving, id), [a, b]);
    const sent = afterStep(moving, id, nextStep(begun, leaving("sent")), reroute);
    assert.equal(ownerOf(sent, id), b);
    assert.deepEqual(placesOf(sent, id), [b, a]);
  });

  it("is void once it was placed anew", () => {
    const elsewhere = { ...moving, placements: { [id]: hostId("c") } } as EnsembleRecord;
    assert.equal(moveOf(elsewhere, id), undefined);
    assert.deepEqual(placesOf(elsewhere, id), [hostId("c")]);
  });

  it("brings it back to where it was, the other host to be left, when the leaving side says that it failed", () => {
    const after = afterStep(moving, id, nextStep(begun, leaving("failed", { message: "cut" })), reroute);
    assert.equal(after.placements[id], a);
    assert.deepEqual(after.leaving, { [id]: [b] });
    assert.equal(after.moves, undefined);
  });

  it("leaves only the host it came from to be left when all of it is there", () => {
    const sent = { ...moving, moves: { [id]: { ...begun, state: "sent" } } } as EnsembleRecord;
    const local = nextStep({ ...begun, state: "sent" }, { ...unseen, arriving: told("arriving", "local") });
    const after = afterStep(sent, id, local, reroute);
    assert.deepEqual([after.placements[id], after.leaving, after.moves], [b, { [id]: [a] }, undefined]);
  });
});

describe("when a machine was begun", () => {
  it("is told to where it goes, and stays what it was though nobody tells it any more", () => {
    const hosts = new Map([a, b].map((host) => [host, { address: `10.0.0.${host}` }])) as never;
    const startedAt = millis(5000);
    const ready = nextStep(begun, { ...leaving("serving", { port: 1 }), startedAt });
    assert.equal(ready.kind, "goes on");
    if (ready.kind !== "goes on") return;
    const sent = nextStep(ready.move, leaving("sent"));
    for (const step of [ready, sent]) {
      const plan = step.kind === "goes on" ? movePlan(step.move, b, hosts) : undefined;
      assert.equal(plan?.side === "arriving" ? plan.startedAt : undefined, startedAt);
    }
  });
});

describe("nextStep()", () => {
  it("tells each side where the other one listens, as soon as that is known", () => {
    const step = nextStep(begun, {
      ...leaving("serving", { port: 7 }),
      arriving: told("arriving", "listening", { port: 8, postcopy: true }),
    });
    assert.ok(step.kind === "goes on");
    const { disksPort, statePort, postcopy } = step.move;
    assert.deepEqual({ disksPort, statePort, postcopy }, { disksPort: 7, statePort: 8, postcopy: true });
  });

  it("calls it off when the arriving side fails or is lost, and begins anew when the leaving host is", () => {
    assert.equal(stateAfter(begun, { ...unseen, arriving: told("arriving", "failed") }), "cancelled");
    assert.equal(stateAfter(begun, { ...unseen, isToLost: true }), "cancelled");
    assert.equal(stateAfter(begun, { ...unseen, isFromLost: true }), "lost");
  });

  it("waits for its disks on the host it left, and lets it go where those are lost", () => {
    const sent: Move = { ...begun, state: "sent" };
    const there = { ...unseen, arriving: told("arriving", "running-remote-disks"), isFromLost: true };
    assert.equal(stateAfter(sent, there), "sent");
    const step = nextStep(sent, { ...there, areDisksLost: true });
    assert.equal(step.kind, "diskless");
    const record = { ...moving, moves: { [id]: sent } } as EnsembleRecord;
    const after = afterStep(record, id, step, reroute);
    assert.deepEqual([after.placements, after.leaving, after.moves], [{}, { [id]: [a, b] }, undefined]);
    const home = { ...there, arriving: told("arriving", "local"), areDisksLost: true };
    assert.equal(stateAfter(sent, home), "settled");
  });

  it("takes it back only with the word of both sides: sent, and failed before it ran", () => {
    const both = { ...leaving("sent"), arriving: told("arriving", "failed") };
    assert.equal(stateAfter(begun, both), "back");
    assert.equal(stateAfter({ ...begun, state: "cancelled" }, both), "back");
    assert.equal(stateAfter(begun, { ...leaving("sent"), arriving: told("arriving", "received") }), "sent");
  });

  it("takes it back also from where it was told to go on and could not any more", () => {
    const sent: Move = { ...begun, state: "sent" };
    const failed = { ...unseen, arriving: told("arriving", "failed") };
    assert.equal(stateAfter(sent, { ...leaving("sent"), arriving: failed.arriving }), "back");
    assert.equal(stateAfter(sent, failed), "sent", "until the host it left is heard of");
    assert.equal(stateAfter(sent, { ...failed, isFromLost: true }), "lost");
    const record = { ...moving, moves: { [id]: sent } } as EnsembleRecord;
    const after = afterStep(record, id, nextStep(sent, { ...failed, isFromLost: true }), reroute);
    assert.deepEqual([after.placements[id], after.leaving, after.moves], [b, { [id]: [a] }, undefined]);
  });

  it("keeps a machine as it is until it is settled, and only that one", () => {
    const record = { moves: { "shop/db": {} } } as unknown as EnsembleRecord;
    const check = (one: string) => checkNotMoving(record, [one as ApplianceId], "resize shop");
    assert.throws(() => check("shop/db"), { code: "conflict", message: /^Cannot resize shop: shop\/db is/ });
    assert.doesNotThrow(() => check("shop/web"));
  });

  it("goes on there after a cancel that came too late", () => {
    assert.equal(stateAfter({ ...begun, state: "cancelled" }, leaving("sent")), "sent");
    const [called] = Object.values(withCancelledMoves(moving, [id]).moves ?? {});
    assert.equal(called?.state, "cancelled");
    const sent = { ...moving, moves: { [id]: { ...begun, state: "sent" } } } as EnsembleRecord;
    assert.deepEqual(withCancelledMoves(sent, [id]), sent);
  });

  it("never gives it to the side that cannot have it, whatever is seen in whatever order", () => {
    const phases = (some: readonly MoveReport["phase"][]): fc.Arbitrary<MoveReport["phase"] | undefined> =>
      fc.option(fc.constantFrom(...some), { nil: undefined });
    const look = fc.record({
      from: phases(["serving", "sending", "sent", "failed"]),
      to: phases(["listening", "receiving", "received", "running-remote-disks", "local", "failed"]),
      isFromLost: fc.boolean(),
      isToLost: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(look, { maxLength: 12 }), (looks) => {
        let record = moving;
        let owner: HostId | undefined = a;
        for (const one of looks) {
          const move = moveOf(record, id);
          if (move === undefined) return;
          const step = nextStep(move, {
            leaving: one.from === undefined ? undefined : told("leaving", one.from),
            arriving: one.to === undefined ? undefined : told("arriving", one.to),
            isFromLost: one.isFromLost,
            isToLost: one.isToLost,
          });
          record = afterStep(record, id, step, reroute);
          const now = ownerOf(record, id);
          const runsThere = one.to === "running-remote-disks" || one.to === "local";
          // To the new host only by a word that the old one never continues; back only if that one never ran it.
          if (owner === a && now === b && moveOf(record, id) !== undefined) {
            assert.ok(one.from === "sent" || runsThere);
          }
          // What was given away is taken back only with both words.
          if (owner === b && now === a) assert.ok(one.from === "sent" && one.to === "failed");
          if (record.placements[id] === a) assert.ok(one.from === "failed" && !runsThere);
          owner = now;
        }
      }),
    );
  });
});
