import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { applianceId, ensembleName, hostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { bitsPerSecond, milliCpu } from "#base/units.ts";
import type { Ensemble, LinkSpec } from "#model/ensemble.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { Topology } from "#model/topology.ts";
import { condensed, existingLoad } from "#planner/existing-load.ts";
import { explainMapping } from "#planner/explain.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { MappingProblem, PlacedEnsemble } from "#planner/mapping.ts";
import { plantProblem } from "#planner/planted.ts";
import type { PlantedShape } from "#planner/planted.ts";

const planted = (shape: PlantedShape, seed: number) => {
  const made = plantProblem(shape, seededRandom(seed));
  const problem: MappingProblem = { topology: made.topology, ensembles: [made.ensemble], existing: [] };
  return { ...made, problem };
};
const small: PlantedShape = {
  network: "tree",
  hosts: 8,
  sites: 2,
  appliances: 12,
  graph: "random3",
  load: 0.6,
};
const shapes = fc.record({
  network: fc.constantFrom("tree", "fat-tree"),
  hosts: fc.integer({ min: 2, max: 24 }),
  sites: fc.integer({ min: 1, max: 2 }),
  appliances: fc.integer({ min: 2, max: 30 }),
  graph: fc.constantFrom("ring", "star", "tree", "random3"),
  load: fc.constantFrom(0.3, 0.6, 0.9, 1.4),
});

/** Appliances on one site of hosts with one core each. */
function bare(count: number, ensemble: Partial<Ensemble>, cpu = 300): MappingProblem {
  const made = planted({ ...small, hosts: 4, sites: 1, appliances: count, graph: "ring" }, 1);
  const topology: Topology = {
    ...made.topology,
    hosts: made.topology.hosts.map((host) => ({ ...host, cpuMilli: milliCpu(1000) })),
  };
  const share = { kind: "share" as const, shareMilli: milliCpu(cpu), limitMilli: milliCpu(cpu) };
  const appliances = made.ensemble.appliances.map((spec) => ({ ...spec, cpu: share }));
  return { topology, ensembles: [{ ...made.ensemble, links: [], appliances, ...ensemble }], existing: [] };
}

describe("solveMapping()", () => {
  test("never admits more than there is: a mapping without violations passes the linter", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 0, max: 1e6 }), (shape, seed) => {
        const { problem } = planted(shape, seed);
        const mapping = solveMapping(problem, { seed, effort: 0.05 });
        const findings = lintMapping(problem, mapping);
        assert.equal(findings.length === 0, mapping.violations.length === 0, JSON.stringify(findings));
      }),
      { numRuns: 60 },
    );
  });

  test("gives the same mapping for the same seed", () => {
    const { problem } = planted(small, 3);
    assert.deepEqual(solveMapping(problem, { seed: 5 }), solveMapping(problem, { seed: 5 }));
  });

  test("keeps every promise of planted problems and stays as close as the planted placement", () => {
    for (const graph of ["ring", "star", "tree", "random3"] as const) {
      const { problem, bandwidthHopsBps } = planted({ ...small, hosts: 40, appliances: 60, graph }, 11);
      const mapping = solveMapping(problem, { seed: 1 });
      assert.deepEqual(mapping.violations, [], graph);
      assert.ok(mapping.cost.bandwidthHopsBps <= bandwidthHopsBps, graph);
    }
  });

  test("moves nothing when nothing changed", () => {
    const { problem } = planted(small, 4);
    const before = solveMapping(problem, { seed: 1 });
    const after = solveMapping({ ...problem, previous: before.placements }, { seed: 2 });
    assert.deepEqual(after.placements, before.placements);
    assert.equal(after.cost.moved, 0);
  });

  test("moves nobody to make room for one more where there is room", () => {
    const { problem, ensemble } = planted({ ...small, load: 0.3 }, 5);
    const before = solveMapping(problem, { seed: 1 });
    const more = {
      ...ensemble,
      appliances: [...ensemble.appliances, { ...ensemble.appliances[0]!, name: "extra" }],
    };
    const after = solveMapping({ ...problem, ensembles: [more], previous: before.placements }, { seed: 1 });
    assert.equal(after.cost.moved, 0);
    assert.deepEqual(after.violations, []);
    assert.ok(after.placements.has(applianceId(ensemble.name, "extra" as never)));
  });

  test("moves away from a host that cannot be used, and only from there", () => {
    const { problem } = planted({ ...small, load: 0.3 }, 6);
    const before = solveMapping(problem, { seed: 1 });
    const lost = [...before.placements.values()][0]!;
    const after = solveMapping(
      { ...problem, previous: before.placements, unusableHosts: new Set([lost]) },
      { seed: 1 },
    );
    assert.deepEqual(after.violations, []);
    for (const [id, host] of before.placements) {
      if (host !== lost) assert.equal(after.placements.get(id), host, id);
      else assert.notEqual(after.placements.get(id), lost);
    }
  });

  test("moves what runs for a rule that is new, and no more than it takes", () => {
    const apart = { rule: "apart" as const, scope: "host" as const, appliances: ["a0", "a1"] };
    const problem = bare(3, { placement: [apart] });
    const [home] = problem.topology.hosts;
    const ids = problem.ensembles[0]!.appliances.map((spec) =>
      applianceId(problem.ensembles[0]!.name, spec.name as never),
    );
    const previous = new Map(ids.map((id) => [id, home!.id]));
    const mapping = solveMapping({ ...problem, previous }, { seed: 1 });
    assert.deepEqual(mapping.violations, []);
    assert.equal(mapping.cost.moved, 1);
  });

  test("counts what other ensembles hold", () => {
    const { topology, ensembles } = bare(3, {}, 800);
    const other = { ...ensembles[0]!, name: ensembleName("other") };
    const first = solveMapping({ topology, ensembles: [other], existing: [] }, { seed: 1 });
    const existing = [{ ensemble: other, placements: first.placements, paths: first.paths }];
    const second = solveMapping({ topology, ensembles, existing }, { seed: 1 });
    assert.deepEqual(new Set(second.violations.map((one) => one.kind)), new Set(["host-cpu"]));
    assert.match(
      second.violations[0]!.message,
      /^Cannot reserve CPU on s0-h\d: it has 100%, \d+% of it free, wanted \d+%/,
    );
  });

  test("answers alike whether or not it has met the topology and what is placed on it before", () => {
    const { problem } = planted({ ...small, network: "fat-tree", load: 0.3 }, 9);
    const [ensemble] = problem.ensembles;
    const other = { ...ensemble!, name: ensembleName("other") };
    const first = solveMapping({ ...problem, ensembles: [other] }, { seed: 1 });
    const { paths: _paths, ...unrouted } = { ensemble: other, placements: first.placements, paths: [] };
    const warm: MappingProblem = { ...problem, existing: [unrouted] };
    // Other paths are found first, and numbered otherwise.
    for (const seed of [1, 2, 3])
      solveMapping({ ...warm, unusableHosts: new Set([hostId("s0-h0")]) }, { seed });
    const again = solveMapping(warm, { seed: 4 });
    assert.deepEqual(again, solveMapping(structuredClone(warm), { seed: 4 }));
    const roomier = { ...warm, topology: { ...warm.topology, links: [...warm.topology.links] } };
    assert.deepEqual(solveMapping(roomier, { seed: 4 }), again);
    const turned = { ...warm, topology: { ...warm.topology, hosts: warm.topology.hosts.toReversed() } };
    assert.deepEqual(solveMapping(turned, { seed: 4 }), solveMapping(structuredClone(turned), { seed: 4 }));
    // Summed up, it is the same question.
    assert.deepEqual(solveMapping(structuredClone(condensed(warm)), { seed: 4 }), again);
    assert.deepEqual(lintMapping(condensed(warm), again), lintMapping(warm, again));
  });

  test("sums up what exists alike in whatever order ensembles come and go", () => {
    const { problem } = planted({ ...small, appliances: 20, load: 0.3 }, 9);
    const { topology } = problem;
    const placed = Array.from({ length: 6 }, (_, index): PlacedEnsemble => {
      const ensemble = { ...problem.ensembles[0]!, name: ensembleName(`e${index}`) };
      const { placements, paths } = solveMapping(
        { ...problem, ensembles: [ensemble] },
        { seed: index, effort: 0.1 },
      );
      return { ensemble, placements, ...(index % 2 === 0 ? { paths } : {}) };
    });
    fc.assert(
      fc.property(fc.array(fc.shuffledSubarray(placed), { minLength: 1, maxLength: 6 }), (questions) => {
        for (const existing of questions) {
          const asked = { topology, ensembles: [], existing };
          assert.deepEqual(existingLoad(asked), existingLoad(structuredClone(asked)));
        }
      }),
    );
    const twice = { topology, ensembles: [], existing: [placed[0]!, placed[0]!] };
    assert.deepEqual(
      existingLoad(twice).cpu,
      existingLoad({ ...twice, existing: [placed[0]!] }).cpu.map((one) => 2 * one),
    );
  });

  test("keeps rules: together and apart, on hosts", () => {
    const placement = [
      { rule: "together" as const, scope: "host" as const, appliances: ["a0", "a1", "a2"] },
      { rule: "apart" as const, scope: "host" as const, appliances: ["a0", "a3", "a4"] },
    ];
    const problem = bare(5, { placement });
    const mapping = solveMapping(problem, { seed: 1 });
    assert.deepEqual(mapping.violations, []);
    assert.deepEqual(lintMapping(problem, mapping), []);
  });

  test("says which rule cannot be kept", () => {
    const apart = {
      rule: "apart" as const,
      scope: "host" as const,
      appliances: ["a0", "a1", "a2", "a3", "a4"],
    };
    const mapping = solveMapping(bare(5, { placement: [apart] }), { seed: 1 });
    assert.deepEqual(
      mapping.violations.map((one) => one.kind),
      ["rule"],
    );
  });

  test("refuses a kind without a driver and a requirement no host meets, and places the rest", () => {
    const problem = bare(4, {});
    const [first, second, ...rest] = problem.ensembles[0]!.appliances;
    const vm = { ...first!, kind: "vm" as const };
    const gpu = { ...second!, placement: { labels: { gpu: "yes" } } };
    const appliances = [vm, gpu, ...rest];
    const mapping = solveMapping(
      { ...problem, ensembles: [{ ...problem.ensembles[0]!, appliances }] },
      { seed: 1 },
    );
    assert.deepEqual(
      mapping.violations.map((one) => one.kind),
      ["no-driver", "no-host"],
    );
    assert.match(mapping.violations[0]!.message, /no driver on these hosts/);
    assert.equal(mapping.placements.size, rest.length);
  });

  test("explains for every appliance and every host what speaks against it", () => {
    const links: LinkSpec[] = [{ from: "a0", to: "a1", bandwidthBps: bitsPerSecond(1e8), priority: 4 }];
    const problem = bare(3, { links }, 600);
    const { appliances, links: paths } = explainMapping(problem, solveMapping(problem, { seed: 1 }));
    assert.equal(appliances.length, 3);
    for (const one of appliances) {
      assert.equal(one.candidates.length, 4);
      assert.equal(one.candidates.filter((candidate) => candidate.chosen).length, 1);
      assert.equal(one.candidates.filter(({ reason }) => reason.startsWith("CPU: 40% free")).length, 2);
    }
    assert.match(paths[0]!.reason, /tightest between/);
  });

  test("uses only hosts that are allowed", () => {
    const problem = bare(2, {});
    const [first, ...rest] = problem.ensembles[0]!.appliances;
    const bound = { ...first!, placement: { hosts: [hostId("s0-h3")], labels: {} } };
    const ensemble = { ...problem.ensembles[0]!, appliances: [bound, ...rest] };
    const mapping = solveMapping({ ...problem, ensembles: [ensemble] }, { seed: 1 });
    assert.equal([...mapping.placements.values()][0], "s0-h3");
  });

  test("one ensemble after the other goes where least is, not to the first host that is free", () => {
    const { topology: any } = planted(small, 1).problem;
    const topology: Topology = {
      ...any,
      hosts: any.hosts.map((host) => ({ ...host, cpuMilli: milliCpu(8000) })),
    };
    const placed: PlacedEnsemble[] = [];
    for (let number = 0; number < topology.hosts.length; number += 1) {
      const ensemble = sampleEnsemble(`job${number}`, { appliances: [sampleAppliance("run")] });
      const mapping = solveMapping({ topology, ensembles: [ensemble], existing: placed }, { seed: 1 });
      placed.push({ ensemble, placements: mapping.placements, paths: mapping.paths });
    }
    const used = new Set(placed.flatMap(({ placements }) => [...placements.values()]));
    assert.equal(used.size, topology.hosts.length);
  });
});
