import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { megabitsPerSecond, mebibytes } from "#base/units.ts";
import { appliancesOf } from "#model/appliances.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import { explainMapping } from "#planner/explain.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { MappingProblem, UnusableReason } from "#planner/mapping.ts";
import { plantedTopology } from "#planner/planted-topology.ts";

const topology = plantedTopology({ network: "tree", hosts: 6, sites: 2 }, seededRandom(2));
const hosts = topology.hosts.map((host) => host.id);

function explained(problem: MappingProblem) {
  const mapping = solveMapping(problem, { seed: 1 });
  return { mapping, ...explainMapping(problem, mapping) };
}

describe("explainMapping()", () => {
  const ensemble = sampleEnsemble("shop", {
    appliances: [
      sampleAppliance("web", { placement: { hosts: [hostId("s0-h0")], labels: {} } }),
      sampleAppliance("db", { memoryBytes: mebibytes(100) }),
      sampleAppliance("gpu", { placement: { labels: { gpu: "yes" } } }),
      sampleAppliance("vm", { kind: "vm" }),
    ],
    links: [sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(100), latency: "low" })],
  });
  const problem = {
    topology,
    ensembles: [ensemble],
    existing: [],
    unusableHosts: new Set([hostId("s0-h1")]),
  };
  const { mapping, appliances, links } = explained(problem);
  const [web, db, gpu, vm] = appliances;

  test("lists every host for every appliance, the chosen one first", () => {
    assert.deepEqual(mapping.placements.get(web!.appliance), "s0-h0");
    for (const one of appliances) {
      assert.deepEqual(one.candidates.map(({ host }) => host).sort(), [...hosts].sort());
      assert.equal(one.host, mapping.placements.get(one.appliance));
      const chosen = one.candidates.filter((candidate) => candidate.chosen);
      assert.deepEqual(
        chosen.map(({ host }) => host),
        one.host === undefined ? [] : [one.host],
      );
      if (one.host !== undefined) assert.equal(one.candidates[0], chosen[0]);
    }
  });

  test("orders by what the placement would cost more, those not allowed last", () => {
    const changes = db!.candidates.map(({ costChange }) => costChange ?? Infinity);
    assert.deepEqual(
      changes,
      changes.toSorted((a, b) => a - b),
    );
    assert.equal(changes[0], 0);
    assert.equal(db!.candidates.at(-1)!.reason, "takes nothing now");
  });

  test("tells what is the matter with a host that takes nothing, and who waits for it", () => {
    const lost = hostId("s0-h1");
    const stays = sampleAppliance("disk", { onHostLoss: "in-place" });
    const other = sampleEnsemble("shop", { appliances: [stays, sampleAppliance("web")] });
    const weighed = (reason: UnusableReason) => {
      const disk = appliancesOf(other)[0]!.id;
      const asked = {
        ...problem,
        ensembles: [other],
        unusableReasons: new Map([[lost, reason]]),
        previous: new Map([[disk, lost]]),
        pinned: new Set([disk]),
      };
      return explained(asked).appliances.map(
        ({ candidates }) => candidates.find(({ host }) => host === lost)!.reason,
      );
    };
    assert.deepEqual(weighed("lost"), ["waits for s0-h1, which is lost: restart: in-place", "is lost"]);
    assert.deepEqual(weighed("cordoned"), ["it stays on s0-h1", "is cordoned"]);
    assert.equal(weighed("unclean")[1], "is being cleaned: what it ran was given to others");
    assert.equal(weighed("forgotten")[1], "is no longer known: it was forgotten");
  });

  test("tells why not: another host demanded, a label, a driver, low latency", () => {
    const reasonOf = (one: typeof web, host: string): string | undefined =>
      one!.candidates.find((candidate) => candidate.host === host)?.reason;
    assert.equal(reasonOf(web, "s0-h2"), "must be on s0-h0");
    assert.equal(reasonOf(web, "s0-h1"), "must be on s0-h0", "what will not change comes first");
    assert.equal(reasonOf(gpu, "s0-h2"), "lacks label gpu=yes");
    assert.equal(reasonOf(vm, "s0-h2"), "no driver for kind vm");
    assert.match(reasonOf(db, "s1-h0") ?? "", /a low-latency link would cross a router/);
    assert.match(reasonOf(db, "s0-h2") ?? "", /^possible, costs [\d.]+ more$/);
  });

  test("tells of a link what is tightest on its path, and of one within a host that it uses none", () => {
    assert.equal(links[0]!.reason, "both appliances are on one host");
    const apart = { rule: "apart" as const, scope: "host" as const, appliances: ["web", "db"] };
    const other = explained({ ...problem, ensembles: [{ ...ensemble, placement: [apart] }] });
    const [link] = other.links;
    assert.equal(link!.binding?.capacityBps, 1e9);
    assert.equal(link!.binding.freeBps, 1e9 - link!.path.wireBps);
    assert.match(link!.reason, /^intra-switch over s0-h0 – .*; tightest between .* left each way$/);
  });

  test("answers for a thousand hosts and fifty appliances in full", () => {
    const large = plantedTopology({ network: "fat-tree", hosts: 1000, sites: 4 }, seededRandom(1));
    const many = sampleEnsemble("many", {
      appliances: Array.from({ length: 50 }, (_, index) => sampleAppliance(`a${index}`)),
      links: Array.from({ length: 49 }, (_, index) =>
        sampleLink(`a${index}`, `a${index + 1}`, { bandwidthBps: megabitsPerSecond(10) }),
      ),
    });
    const all = explained({ topology: large, ensembles: [many], existing: [] });
    assert.equal(all.appliances.length, 50);
    for (const { candidates } of all.appliances) assert.equal(candidates.length, 1000);
  });
});
