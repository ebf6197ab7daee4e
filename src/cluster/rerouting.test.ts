import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, hostId } from "#base/ids.ts";
import { megabitsPerSecond } from "#base/units.ts";
import { promisedCloud } from "#cluster/admission.ts";
import type { AdmissionFacts } from "#cluster/admission.ts";
import { afterStep, withMoves } from "#cluster/moves.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { pathsWhereTheyAre, routingProblem, unroutedIn, unroutedLinks } from "#cluster/rerouting.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import type { Ensemble, LinkSpec } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { solveMapping } from "#planner/mapper.ts";

const linked = (more: Partial<LinkSpec>): Ensemble =>
  sampleEnsemble("shop", {
    appliances: [sampleAppliance("web"), sampleAppliance("db")],
    links: [{ from: "web", to: "db", priority: 4, bandwidthBps: megabitsPerSecond(500), ...more }],
  });
const shop = linked({});
/** Not over a router. */
const swift = linked({ latency: "low" });
const [web, db] = ["web", "db"].map((name) => applianceId(shop.name, name as never)) as [never, never];

const facts = (records: readonly EnsembleRecord[]): AdmissionFacts => ({
  topology: sampleTopology("vxlan"),
  hosts: sampleHosts(),
  records,
  isThere: () => true,
  isLost: () => false,
  standing: () => ({ fenced: false, scheduling: "open" }),
  image: () => undefined,
});

/** Where `place` says, with its links routed. */
function routed(ensemble: Ensemble, place: Readonly<Record<string, string>>): EnsembleRecord {
  const record = sampleRecord(ensemble, place);
  const { paths } = solveMapping(routingProblem(record, facts([record])), { seed: 1 });
  return { ...record, paths };
}

const nodesOf = ({ paths }: Pick<EnsembleRecord, "paths">): (readonly string[])[] =>
  paths.map(({ nodes }) => nodes);

/** Both are told to move; every way in is held for both. */
function bothMoving(ensemble = shop): EnsembleRecord {
  const before = routed(ensemble, { web: "a1", db: "a2" });
  const after = routed(ensemble, { web: "b1", db: "b2" });
  return withMoves(before, { ...after, leaving: {} }, [web, db], () => ({ move: "m", token: "t" }));
}

const stays = { kind: "stays", why: "cut" } as const;
const reroute = (record: EnsembleRecord, before: EnsembleRecord["paths"]): EnsembleRecord["paths"] =>
  pathsWhereTheyAre(record, before, facts([record]));

describe("the links of one that does not come to where it was to go", () => {
  it("lead to where the other ends are by now, not to where they were", () => {
    const moving = bothMoving();
    const one = afterStep(moving, web, stays, reroute);
    assert.equal(one.placements[web], hostId("a1"));
    assert.deepEqual(nodesOf(one), [["a1", "sw-alpha", "gw-alpha", "router", "gw-beta", "sw-beta", "b2"]]);
    const none = afterStep(one, db, stays, reroute);
    assert.deepEqual(nodesOf(none), [["a1", "sw-alpha", "a2"]]);
    assert.deepEqual(unroutedLinks(none), []);
  });

  it("have no path where none keeps what they are promised, and are told apart from those that move", () => {
    const one = afterStep(bothMoving(swift), web, stays, reroute);
    assert.deepEqual(one.paths, []);
    assert.equal(unroutedLinks(one).length, 1);
    assert.equal(unroutedIn(one).size, 0);
    const none = afterStep(one, db, stays, reroute);
    assert.deepEqual(nodesOf(none), [["a1", "sw-alpha", "a2"]]);
  });

  it("have room on the way they went before, as long as one of their ends may go back", () => {
    const moving = bothMoving();
    const held = promisedCloud(facts([moving])).placed.flatMap(({ paths = [] }) => paths);
    const { links } = sampleTopology("vxlan");
    const crossed = held.flatMap(({ physicalLinks }) =>
      physicalLinks.map((at) => `${links[at]?.a} ${links[at]?.b}`),
    );
    for (const host of ["a1 sw-alpha", "a2 sw-alpha", "b1 sw-beta", "b2 sw-beta"])
      assert.equal(crossed.filter((one) => one === host).length, 1, host);
  });
});
