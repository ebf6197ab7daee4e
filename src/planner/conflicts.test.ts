import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hostId, siteName } from "#base/ids.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import type { Ensemble, LinkSpec, PlacementRule } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { Topology } from "#model/topology.ts";
import { solveMapping } from "#planner/mapper.ts";

/** Two hosts under one switch, cables of 1 Gbit/s; each on a site of its own behind a router when `sites` is 2. */
function twoHosts(sites: 1 | 2 = 1): Topology {
  const names = sites === 1 ? ["here", "here"] : ["here", "there"];
  const cable = (a: string, b: string) => ({
    a,
    b,
    bandwidthBps: megabitsPerSecond(1000),
    latencyUs: micros(10),
  });
  return {
    sites: [...new Set(names)].map((name) => ({ name: siteName(name), tunnel: "vxlan" as const })),
    hosts: names.map((site, index) => ({
      id: hostId(`h${index}`),
      site: siteName(site),
      cpuMilli: milliCpu(1000),
      memoryBytes: mebibytes(1024),
      labels: {},
    })),
    devices: [{ id: "hub", kind: sites === 1 ? "switch" : "router" }],
    links: [cable("h0", "hub"), cable("h1", "hub")],
  };
}

const apart = (scope: PlacementRule["scope"]): PlacementRule => ({
  rule: "apart",
  scope,
  appliances: ["a", "b"],
});

function pair(link: Partial<LinkSpec>, fields: Partial<Ensemble>): Ensemble {
  return sampleEnsemble("pair", {
    appliances: [sampleAppliance("a"), sampleAppliance("b")],
    links: [sampleLink("a", "b", link)],
    ...fields,
  });
}

const violationsOf = (topology: Topology, ensemble: Ensemble) =>
  solveMapping({ topology, ensembles: [ensemble], existing: [] }, { seed: 1 }).violations;

describe("a conflict between a rule and a capacity", () => {
  test("names the bandwidth that a broken rule would need", () => {
    const ensemble = pair({ bandwidthBps: megabitsPerSecond(3000) }, { placement: [apart("host")] });
    const [violation, ...more] = violationsOf(twoHosts(), ensemble);
    assert.equal(violation?.kind, "rule");
    assert.deepEqual(more, []);
    assert.match(
      violation.message,
      /^Cannot keep a, b apart: .*; were it kept, the link between pair\/a and pair\/b would need bandwidth 3\d+\.\d+Mbit\/s between h\d and hub, which has 1Gbit\/s$/,
    );
  });

  test("names the rule that a broken bandwidth owes itself to", () => {
    const ensemble = pair({ bandwidthBps: megabitsPerSecond(1010) }, { placement: [apart("host")] });
    const violations = violationsOf(twoHosts(), ensemble);
    assert.deepEqual(new Set(violations.map((one) => one.kind)), new Set(["link-bandwidth"]));
    for (const { message, remedy } of violations) {
      assert.match(message, /and the rule that keeps a, b apart forbids them one host$/);
      assert.match(remedy, /relax the rule/);
    }
  });

  test("names the memory that a broken rule would need", () => {
    const big = sampleAppliance("big", {
      memoryBytes: mebibytes(1024),
      placement: { hosts: [hostId("h1")], labels: {} },
    });
    const small = ["a", "b"].map((name) => sampleAppliance(name, { memoryBytes: mebibytes(500) }));
    const tiny = sampleAppliance("tiny", { memoryBytes: mebibytes(1) });
    const ensemble = sampleEnsemble("pair", {
      appliances: [big, ...small, tiny],
      placement: [apart("host")],
    });
    const violation = violationsOf(twoHosts(), ensemble).find((one) => one.kind === "rule");
    assert.match(violation?.message ?? "", /were it kept, h1 would need memory 1\.\d+GiB, it has 1GiB$/);
  });

  test("names rule and latency when sites must differ", () => {
    const ensemble = pair({ latency: "low" }, { placement: [apart("site")] });
    const [violation] = violationsOf(twoHosts(2), ensemble);
    assert.match(violation?.message ?? "", /apart/);
    assert.match(violation?.message ?? "", /low latency/);
  });

  test("says nothing of rules where none is in the way", () => {
    const hosts = (host: string) => ({ placement: { hosts: [hostId(host)], labels: {} } });
    const ensemble = pair(
      { bandwidthBps: megabitsPerSecond(3000) },
      { appliances: [sampleAppliance("a", hosts("h0")), sampleAppliance("b", hosts("h1"))] },
    );
    const violations = violationsOf(twoHosts(), ensemble);
    assert.equal(violations.length, 2);
    for (const { message } of violations) assert.doesNotMatch(message, /rule/);
  });
});
