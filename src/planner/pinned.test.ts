import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { applianceId, hostId } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { megabitsPerSecond, mebibytes, milliCpu } from "#base/units.ts";
import { appliancesOf } from "#model/appliances.ts";
import type { PlacementRule } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import { planDiff } from "#planner/diff.ts";
import { explainMapping } from "#planner/explain.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { MappingProblem } from "#planner/mapping.ts";
import { plantedTopology } from "#planner/planted-topology.ts";
import { plantProblem } from "#planner/planted.ts";

const shapes = fc.record({
  network: fc.constantFrom("tree", "fat-tree"),
  hosts: fc.integer({ min: 2, max: 12 }),
  sites: fc.integer({ min: 1, max: 2 }),
  appliances: fc.integer({ min: 2, max: 16 }),
  graph: fc.constantFrom("ring", "star", "random3"),
  load: fc.constantFrom(0.3, 0.6, 1.2),
});

/** A planted problem, some of it running anywhere, some of that pinned, some of all absent, and a few rules. */
function withPins(shape: Parameters<typeof plantProblem>[0], seed: number): MappingProblem {
  const random = seededRandom(seed);
  const { topology, ensemble } = plantProblem(shape, random);
  const names = ensemble.appliances.map((spec) => spec.name);
  const ids = appliancesOf(ensemble).map((one) => one.id);
  const hosts = [...topology.hosts.map((host) => host.id), hostId("forgotten")];
  const previous = new Map<ApplianceId, HostId>();
  for (const id of ids) if (random.next() < 0.7) previous.set(id, hosts[random.integer(hosts.length)]!);
  const some = (share: number) => new Set(ids.filter(() => random.next() < share));
  const placement = Array.from({ length: random.integer(3) }, (): PlacementRule => ({
    rule: random.next() < 0.6 ? "together" : "apart",
    scope: random.next() < 0.7 ? "host" : "site",
    appliances: names.filter(() => random.next() < 0.3),
  }));
  return {
    topology,
    ensembles: [{ ...ensemble, placement }],
    existing: [],
    previous,
    pinned: some(0.5),
    absent: some(0.2),
    unusableHosts: new Set(topology.hosts.map((host) => host.id).filter(() => random.next() < 0.2)),
    ...(random.next() < 0.3 ? { moveWeight: 3 } : {}),
  };
}

const topology = plantedTopology({ network: "tree", hosts: 6, sites: 2 }, seededRandom(2));
const [h0, h1, h2] = topology.hosts.map((host) => host.id) as [HostId, HostId, HostId];
const id = (name: string): ApplianceId => applianceId("shop" as never, name as never);

/** Three appliances in a row; web stays on the first host. */
function shop(
  fields: Partial<MappingProblem> = {},
  placement: readonly PlacementRule[] = [],
): MappingProblem {
  const cpu = { kind: "share" as const, shareMilli: milliCpu(1000), limitMilli: milliCpu(1000) };
  const ensemble = sampleEnsemble("shop", {
    appliances: ["web", "db", "log"].map((name) =>
      sampleAppliance(name, { cpu, memoryBytes: mebibytes(64) }),
    ),
    links: [
      sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(100) }),
      sampleLink("db", "log", { bandwidthBps: megabitsPerSecond(10) }),
    ],
    placement,
  });
  const pins = { previous: new Map([[id("web"), h0]]), pinned: new Set([id("web")]) };
  return { topology, ensembles: [ensemble], existing: [], ...pins, ...fields };
}
const together = { rule: "together" as const, scope: "host" as const, appliances: ["web", "db"] };

describe("solveMapping() with appliances that stay or are left out", () => {
  test("never moves the pinned, never speaks of the absent, and breaks nothing it does not tell", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 1e6 }), (shape, seed) => {
        const problem = withPins(shape, seed);
        const mapping = solveMapping(problem, { seed, effort: 0.05 });
        for (const pinned of problem.pinned!) {
          const home = problem.previous!.get(pinned);
          if (home === undefined || problem.absent!.has(pinned)) continue;
          assert.equal(mapping.placements.get(pinned), home, pinned);
        }
        const told = JSON.stringify(
          mapping.violations.map(({ message: _message, remedy: _remedy, ...rest }) => rest),
        );
        for (const absent of problem.absent!) {
          assert.ok(!mapping.placements.has(absent), absent);
          assert.ok(!told.includes(`"${absent}"`), absent);
          assert.ok(
            mapping.paths.every(({ link }) => link.from !== absent && link.to !== absent),
            absent,
          );
        }
        const findings = lintMapping(problem, mapping);
        assert.equal(
          findings.length === 0,
          mapping.violations.length === 0,
          JSON.stringify([findings, told]),
        );
      }),
      { numRuns: 200 },
    );
  });

  test("leaves a pinned appliance on a host that is not usable, and brings the others close to it elsewhere", () => {
    const problem = shop({ unusableHosts: new Set([h0]) });
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual(mapping.violations, []);
    assert.deepEqual(lintMapping(problem, mapping), []);
    assert.equal(mapping.placements.get(id("web")), h0);
    assert.notEqual(mapping.placements.get(id("db")), h0);
    assert.equal(mapping.cost.moved, 0);
  });

  test("leaves a pinned appliance on a host that its own requirements forbid", () => {
    const [ensemble] = shop().ensembles;
    const [web, ...others] = ensemble!.appliances;
    const elsewhere = { ...web!, placement: { hosts: [h1], labels: {} } };
    const problem = { ...shop(), ensembles: [{ ...ensemble!, appliances: [elsewhere, ...others] }] };
    const mapping = solveMapping(problem, { seed: 1 });
    assert.equal(mapping.placements.get(id("web")), h0);
    assert.deepEqual(lintMapping(problem, mapping), []);
  });

  test("counts what the pinned take: the host they fill takes nobody else", () => {
    const whole = milliCpu(topology.hosts[0]!.cpuMilli);
    const [ensemble] = shop().ensembles;
    const cpu = { kind: "share" as const, shareMilli: whole, limitMilli: whole };
    const appliances = ensemble!.appliances.map((spec) => (spec.name === "web" ? { ...spec, cpu } : spec));
    const mapping = solveMapping({ ...shop(), ensembles: [{ ...ensemble!, appliances }] }, { seed: 1 });
    assert.deepEqual(mapping.violations, []);
    assert.notEqual(mapping.placements.get(id("db")), h0);
  });

  test("tells of a host that the pinned alone exceed", () => {
    const small = {
      ...topology,
      hosts: topology.hosts.map((host) => ({ ...host, cpuMilli: milliCpu(500) })),
    };
    const all = new Set([id("web"), id("db"), id("log")]);
    const previous = new Map([...all].map((one) => [one, h0]));
    const problem = shop({ topology: small, previous, pinned: all });
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual(
      mapping.violations.map((one) => one.kind),
      ["host-cpu"],
    );
    assert.deepEqual(mapping.placements, previous);
    assert.equal(lintMapping(problem, mapping).length, 1);
  });

  test("makes those who must share a host with a pinned one come to it", () => {
    const problem = shop(
      {
        previous: new Map([
          [id("web"), h0],
          [id("db"), h2],
        ]),
      },
      [together],
    );
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual(mapping.violations, []);
    assert.equal(mapping.placements.get(id("db")), h0);
    assert.equal(mapping.cost.moved, 1);
  });

  test("tells that they cannot come when that host is not usable", () => {
    const problem = shop({ unusableHosts: new Set([h0]) }, [together]);
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual(
      mapping.violations.map((one) => one.kind),
      ["no-host"],
    );
    assert.equal(
      mapping.violations[0]!.message,
      `Cannot place shop/db: it must be together with shop/web, which stays on ${h0}, and that host may not take it now`,
    );
    assert.ok(mapping.placements.has(id("log")));
  });

  test("tells of a rule that two pinned ones break, and still keeps everything else", () => {
    const apart = { rule: "apart" as const, scope: "host" as const, appliances: ["web", "db", "log"] };
    const pinned = new Set([id("web"), id("db")]);
    const problem = shop({ pinned, previous: new Map([...pinned].map((one) => [one, h0])) }, [apart]);
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual(
      mapping.violations.map((one) => one.kind),
      ["rule"],
    );
    assert.notEqual(mapping.placements.get(id("log")), h0);
    assert.equal(mapping.cost.violation, 1);
  });

  test("leaves the absent out, with their links and what they would take", () => {
    const problem = shop({ absent: new Set([id("db")]) });
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual([...mapping.placements.keys()].sort(), [id("log"), id("web")]);
    assert.deepEqual(mapping.paths, []);
    assert.deepEqual(lintMapping(problem, mapping), []);
  });
});

describe("those who explain, check and compare", () => {
  test("the linter finds a pinned one that moved and an absent one that was placed", () => {
    const moved = lintMapping(shop({ absent: new Set([id("db"), id("log")]) }), {
      placements: new Map([
        [id("web"), h1],
        [id("db"), h1],
      ]),
      paths: [],
    });
    assert.deepEqual(
      moved.map(({ message }) => message),
      [`shop/web is pinned to ${h0} and not there`, "shop/db is placed but was not asked for"],
    );
  });

  test("the explanation says of a pinned one that it stays, and of who must be with it why", () => {
    const problem = shop({ absent: new Set([id("log")]) }, [together]);
    const { appliances } = explainMapping(problem, solveMapping(problem, { seed: 1 }));
    assert.deepEqual(
      appliances.map((one) => [one.appliance, one.host, one.candidates[0]!.reason]),
      [
        [id("web"), h0, `it stays on ${h0}`],
        [id("db"), h0, `it must be together with shop/web, which stays on ${h0}`],
      ],
    );
    for (const { candidates } of appliances)
      for (const one of candidates.slice(1)) assert.equal(one.costChange, undefined);
  });

  test("the difference shows who is left out as gone where it ran, and as new when it is back", () => {
    const [ensemble] = shop().ensembles;
    const absent = new Set([id("db")]);
    const all = new Map([
      [id("web"), h0],
      [id("db"), h1],
      [id("log"), h2],
    ]);
    const rest = new Map([
      [id("web"), h0],
      [id("log"), h2],
    ]);
    const gone = planDiff(ensemble, ensemble, all, rest, absent);
    assert.deepEqual(gone.appliances, [{ appliance: id("db"), change: "destroyed", from: h1, fields: [] }]);
    assert.deepEqual(
      gone.links.map(({ change }) => change),
      ["removed", "removed"],
    );
    assert.ok(planDiff(ensemble, ensemble, rest, rest, absent).empty);
    const back = planDiff(ensemble, ensemble, rest, all);
    assert.deepEqual(back.appliances, [{ appliance: id("db"), change: "created", to: h1, fields: [] }]);
  });
});
