import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { applianceId, applianceName, ensembleName, hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { nextStep, ownerOf, withMoves } from "#cluster/moves.ts";
import type { Move, MoveSeen, MoveStep, Reroute } from "#cluster/moves.ts";
import { afterMoves } from "#cluster/moving-together.ts";
import type { MovingFacts } from "#cluster/moving-together.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { linksOf } from "#model/appliances.ts";
import type { PlacementRule } from "#model/ensemble.ts";
import type { LinkPath } from "#planner/mapping.ts";
import type { MoveReport } from "#protocol/host-report.ts";

const shop = ensembleName("shop");
const names = ["web", "db", "job", "log"] as const;
type Name = (typeof names)[number];
const idOf = (name: string): ApplianceId => applianceId(shop, applianceName(name));
const [a, b, c] = [hostId("a"), hostId("b"), hostId("c")];
const hosts = [a, b, c];

type Places = Readonly<Partial<Record<Name, HostId>>>;
const placed = (places: Places): EnsembleRecord["placements"] =>
  Object.fromEntries(Object.entries(places).map(([name, host]) => [idOf(name), host])) as never;

/** All of them move live from one place to the other, but those of `cold`. */
function moving(
  rules: readonly (readonly [PlacementRule["rule"], ...Name[]])[],
  from: Places,
  to: Places,
  cold: readonly Name[] = [],
): EnsembleRecord {
  const appliances = Object.keys(from).map((name) => ({ name, replicas: 1, onHostLoss: "elsewhere" }));
  const placement = rules.map(([rule, ...some]) => ({ rule, scope: "host", appliances: some }));
  const ensemble = { name: shop, appliances, links: [], networks: [], placement };
  const before = {
    ensemble,
    state: "present",
    placements: placed(from),
    paths: [],
    leaving: {},
    unleased: {},
  };
  const record = before as unknown as EnsembleRecord;
  const ids = Object.keys(from).filter((name) => !cold.some((one) => one === name));
  return withMoves(record, { ...record, placements: placed(to) }, ids.map(idOf), (id) => ({
    move: `${id} 1`,
    token: "t",
  }));
}

const calm: MovingFacts = {
  siteOf: () => "alpha",
  isLost: () => false,
  isDraining: () => false,
  hasEnded: () => false,
  mayBePlacedAnew: () => false,
  hasToWait: () => false,
  secrets: (id) => ({ move: `${id} 2`, token: "t" }),
};

const unseen: MoveSeen = { leaving: undefined, arriving: undefined, isFromLost: false, isToLost: false };
const leaving = (move: Move, phase: MoveReport["phase"]): MoveSeen["leaving"] => ({
  move: move.move,
  side: "leaving",
  phase,
  port: 1,
});
const ready = (move: Move): MoveSeen => ({
  ...unseen,
  leaving: leaving(move, "serving"),
  arriving: { move: move.move, side: "arriving", phase: "listening", port: 2 },
});
const sent = (move: Move): MoveSeen => ({ ...unseen, leaving: leaving(move, "sent") });
const failed = (move: Move): MoveSeen => ({ ...unseen, leaving: leaving(move, "failed") });

/** One pass of the reconciler; what is not seen of a move is that nothing is known of it. */
function pass(
  record: EnsembleRecord,
  seen: Partial<Record<Name, (move: Move) => MoveSeen>>,
  facts: MovingFacts = calm,
  reroute: Reroute = (_record, before) => before,
): { readonly record: EnsembleRecord; readonly steps: Partial<Record<Name, MoveStep>> } {
  const moves = Object.entries<Move>(record.moves ?? {}) as [ApplianceId, Move][];
  const look = (id: ApplianceId, move: Move): MoveSeen => seen[id.slice(5) as Name]?.(move) ?? unseen;
  const alone = new Map(moves.map(([id, move]) => [id, nextStep(move, look(id, move))]));
  const { after, steps } = afterMoves(record, alone, facts, reroute);
  const told = Object.fromEntries([...steps].map(([id, step]) => [id.slice(5), step]));
  return { record: after, steps: told };
}

const stateOf = (record: EnsembleRecord, name: Name): string | undefined => record.moves?.[idOf(name)]?.state;
const placeOf = (record: EnsembleRecord, name: Name): HostId | undefined => record.placements[idOf(name)];

describe("a group that is to be together and moves", () => {
  const both = moving([["together", "web", "db"]], { web: a, db: a }, { web: b, db: b });

  it("is not sent before all of it can be", () => {
    const one = pass(both, { web: ready });
    assert.equal(one.record.moves?.[idOf("web")]?.statePort, undefined);
    const all = pass(one.record, { web: ready, db: ready });
    assert.deepEqual(
      names.slice(0, 2).map((name) => all.record.moves?.[idOf(name)]?.statePort),
      [2, 2],
    );
  });

  it("stays where it was, all in one commit, when one of it cannot be moved", () => {
    const off = pass(both, { web: ready, db: failed });
    assert.deepEqual([stateOf(off.record, "web"), stateOf(off.record, "db")], ["cancelled", "moving"]);
    assert.deepEqual([placeOf(off.record, "web"), placeOf(off.record, "db")], [b, b]);
    const { record } = pass(off.record, { web: failed, db: failed });
    assert.deepEqual([placeOf(record, "web"), placeOf(record, "db")], [a, a]);
    assert.equal(record.moves, undefined);
  });

  it("comes after the one that had gone when it was to be called off", () => {
    const off = pass(both, { db: failed });
    const gone = pass(off.record, { web: sent, db: failed });
    assert.equal(stateOf(gone.record, "web"), "sent");
    assert.equal(gone.steps.db?.kind, "follows");
    assert.equal(gone.record.moves?.[idOf("db")]?.move, `${idOf("db")} 2`);
    assert.equal(ownerOf(gone.record, idOf("db")), a);
    assert.equal(placeOf(gone.record, "db"), b);
  });

  it("does not try again at once", () => {
    const waits: MovingFacts = { ...calm, hasToWait: (id) => id === idOf("db") };
    const follows = pass(pass(both, { web: sent }).record, { db: failed }, waits).record;
    const held = pass(follows, { web: sent, db: ready }, waits).record;
    assert.equal(held.moves?.[idOf("db")]?.disksPort, undefined);
    assert.equal(pass(held, { web: sent, db: ready }).record.moves?.[idOf("db")]?.disksPort, 1);
  });

  it("is begun anew with those that have gone where its host is being emptied", () => {
    const gone = pass(both, { web: sent }).record;
    const { record, steps } = pass(gone, { db: failed }, { ...calm, isDraining: (host) => host === a });
    assert.equal(steps.db?.kind, "begins anew");
    assert.deepEqual([placeOf(record, "db"), record.moves?.[idOf("db")]], [b, undefined]);
  });

  it("follows what does not move live, and stays with what does not move at all", () => {
    const mixed = moving([["together", "web", "db"]], { web: a, db: a }, { web: b, db: b }, ["web"]);
    assert.equal(pass(mixed, { db: failed }).steps.db?.kind, "follows");
    const alone = moving([["together", "web", "db"]], { web: a, db: a, job: a }, { web: a, db: a, job: b });
    assert.equal(pass(alone, { job: failed }).steps.job?.kind, "stays");
  });

  it("waits for the other's host while that is lost, or takes the other back if it may run elsewhere", () => {
    const gone = pass(both, { web: sent }).record;
    const lost: MovingFacts = { ...calm, isLost: (host) => host === b };
    const waits = pass(gone, { db: failed }, lost).record;
    assert.equal(waits.moves?.[idOf("db")]?.move, `${idOf("db")} 1`);
    const free: MovingFacts = { ...lost, mayBePlacedAnew: (_id, host) => host === b };
    const back = pass(gone, { db: failed }, free).record;
    assert.deepEqual([placeOf(back, "web"), placeOf(back, "db"), back.moves], [undefined, a, undefined]);
    assert.deepEqual(back.leaving[idOf("web")], [b]);
  });

  it("leaves what has ended for good where it is", () => {
    const gone = pass(both, { web: sent }).record;
    assert.equal(pass(gone, { db: failed }, { ...calm, hasEnded: () => true }).steps.db?.kind, "stays");
  });
});

describe("the ends of a link that has no way between hosts", () => {
  const moved = moving([], { web: a, db: a }, { web: b, db: b });
  const appliances = moved.ensemble.appliances.map((spec) => ({ ...spec, networks: ["lan"] }));
  const ensemble = { ...moved.ensemble, appliances, links: [{ from: "web", to: "db", priority: 4 }] };
  const linked = { ...moved, ensemble } as EnsembleRecord;
  const [link] = linksOf(linked.ensemble);
  const on = (host: HostId): LinkPath => ({ link, nodes: [host], physicalLinks: [] }) as unknown as LinkPath;
  const record = { ...linked, paths: [on(b)] };
  /** Within one host only. */
  const reroute: Reroute = ({ placements }) => {
    const [one, other] = [placements[idOf("web")], placements[idOf("db")]];
    return one !== undefined && one === other ? [on(one)] : [];
  };

  it("follow each other as those that are to be together", () => {
    const gone = pass(record, { web: sent }, calm, reroute).record;
    const { record: after, steps } = pass(gone, { db: failed }, calm, reroute);
    assert.equal(steps.db?.kind, "follows");
    assert.deepEqual(after.paths, [on(b)]);
  });

  it("both stay where neither has gone, with their link as it was", () => {
    const off = pass(record, { db: failed }, calm, reroute).record;
    assert.deepEqual([stateOf(off, "web"), placeOf(off, "db")], ["cancelled", b]);
    const { record: after } = pass(off, { web: failed, db: failed }, calm, reroute);
    assert.deepEqual([placeOf(after, "web"), placeOf(after, "db"), after.paths], [a, a, [on(a)]]);
  });

  it("are moved each for itself where there is a way", () => {
    const gone = pass(record, { web: sent }, calm, reroute).record;
    const back: Reroute = () => [{ ...on(b), nodes: [b, "cable", a] }];
    assert.equal(pass(gone, { db: failed }, calm, back).steps.db?.kind, "stays");
  });
});

describe("those that are to be apart", () => {
  const row = moving([["apart", "web", "db"]], { web: a, db: b }, { web: b, db: c });

  it("are not sent to where another has not left yet", () => {
    const one = pass(row, { web: ready, db: ready }).record;
    const ports = names.slice(0, 2).map((name) => one.moves?.[idOf(name)]?.statePort);
    assert.deepEqual(ports, [undefined, 2]);
    assert.equal(pass(one, { web: ready, db: sent }).record.moves?.[idOf("web")]?.statePort, 2);
  });

  it("both stay where the first cannot leave", () => {
    const off = pass(row, { db: failed }).record;
    assert.equal(stateOf(off, "web"), "cancelled");
    const { record } = pass(off, { web: failed, db: failed });
    assert.deepEqual([placeOf(record, "web"), placeOf(record, "db")], [a, b]);
  });

  it("change places, as none could ever begin otherwise", () => {
    const swap = moving([["apart", "web", "db"]], { web: a, db: b }, { web: b, db: a });
    const { record } = pass(swap, { web: ready, db: ready });
    assert.deepEqual(
      names.slice(0, 2).map((name) => record.moves?.[idOf(name)]?.statePort),
      [2, 2],
    );
  });
});

/** Whether a placement keeps a record's rules, one of them at a time. */
function keepsRules(
  { ensemble }: EnsembleRecord,
  placeOfOne: (id: ApplianceId) => HostId | undefined,
): boolean {
  return ensemble.placement.every(({ rule, appliances }) => {
    const places = appliances.map(idOf).flatMap((id) => placeOfOne(id) ?? []);
    const different = new Set(places).size;
    return rule === "together" ? different <= 1 : different === places.length;
  });
}

const placesDrawn: fc.Arbitrary<Places> = fc
  .tuple(...names.map(() => fc.constantFrom(...hosts)))
  .map((drawn) => Object.fromEntries(names.map((name, index) => [name, drawn[index]])));
const rulesDrawn = fc.array(
  fc.tuple(fc.constantFrom("together" as const, "apart" as const), fc.subarray([...names], { minLength: 2 })),
  { minLength: 1, maxLength: 2 },
);
const cases = fc
  .record({ rules: rulesDrawn, from: placesDrawn, to: placesDrawn, cold: fc.subarray([...names]) })
  .map(({ rules, from, to, cold }) =>
    moving(
      rules.map(([rule, some]) => [rule, ...some] as const),
      from,
      to,
      cold,
    ),
  )
  .filter((record) => {
    const from = (id: ApplianceId): HostId | undefined => record.moves?.[id]?.from ?? record.placements[id];
    return keepsRules(record, (id) => record.placements[id]) && keepsRules(record, from);
  });

describe("agreed()", () => {
  it("keeps every rule at every commit, and all of them come to an end, however the moves end", () => {
    const events = fc.array(fc.record({ who: fc.constantFrom(...names), fails: fc.boolean() }), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(cases, events, (record, some) => {
        const ends = new Map<string, "sent" | "failed">();
        let drawn = 1;
        const facts: MovingFacts = {
          ...calm,
          secrets: (id) => ({ move: `${id} ${(drawn += 1)}`, token: "t" }),
        };
        const all = [
          ...some,
          ...Array.from({ length: 8 }, () => names.map((who) => ({ who, fails: false }))).flat(),
        ];
        const look = (move: Move): MoveSeen => {
          const end = ends.get(move.move);
          return end === "sent" ? sent(move) : end === "failed" ? failed(move) : ready(move);
        };
        const seen = { web: look, db: look, job: look, log: look };
        let now = pass(record, seen, facts).record;
        for (const { who, fails } of all) {
          const move = now.moves?.[idOf(who)];
          const isSending = move?.state === "moving" && move.statePort !== undefined;
          if (move?.state === "cancelled") ends.set(move.move, ends.get(move.move) ?? "failed");
          else if (move !== undefined && move.state !== "sent" && (fails || isSending)) {
            ends.set(move.move, fails ? "failed" : (ends.get(move.move) ?? "sent"));
          }
          now = pass(now, seen, facts).record;
          assert.ok(keepsRules(now, (id) => now.placements[id]));
        }
        for (const name of names)
          assert.ok([undefined, "sent"].includes(stateOf(now, name)), `${name} goes on`);
        assert.ok(keepsRules(now, (id) => ownerOf(now, id)));
      }),
      { numRuns: 200 },
    );
  });
});
