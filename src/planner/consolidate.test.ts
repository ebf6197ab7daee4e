import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { applianceId, ensembleName, hostId, siteName } from "#base/ids.ts";
import type { ApplianceId, HostId } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import { megabitsPerSecond, mebibytes, micros, milliCpu } from "#base/units.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import { proposeConsolidation } from "#planner/consolidate.ts";
import type { Consolidation } from "#planner/consolidate.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { PlacedEnsemble } from "#planner/mapping.ts";

/** Hosts with four CPUs each on one switch. */
function site(names: readonly string[], uplinkMbit = 1000): Topology {
  const alpha = siteName("alpha");
  const uplink = { bandwidthBps: megabitsPerSecond(uplinkMbit), latencyUs: micros(5) };
  return {
    sites: [{ name: alpha, tunnel: "wireguard" }],
    hosts: names.map((name) => ({
      id: hostId(name),
      site: alpha,
      cpuMilli: milliCpu(4000),
      memoryBytes: mebibytes(8192),
      labels: {},
    })),
    devices: [{ id: "switch", kind: "switch", site: alpha }],
    links: names.map((name) => ({ a: name, b: "switch", ...uplink })),
  };
}

function task(name: string, percent: number): Ensemble {
  const cpu = { kind: "share" as const, shareMilli: milliCpu(percent * 10), limitMilli: milliCpu(4000) };
  return sampleEnsemble(name, { appliances: [sampleAppliance("task", { cpu })] });
}

/** What runs where, with tasks that come, end and are moved. */
class Cloud {
  readonly topology: Topology;
  placed: PlacedEnsemble[] = [];

  constructor(topology: Topology) {
    this.topology = topology;
  }

  up(ensemble: Ensemble): string {
    const problem = {
      topology: this.topology,
      ensembles: [ensemble],
      existing: this.placed,
      policy: "pack" as const,
    };
    const { placements, paths, violations } = solveMapping(problem, { seed: 1 });
    assert.deepEqual(violations, []);
    this.placed = [...this.placed, { ensemble, placements, paths }];
    return [...placements.values()].join();
  }

  down(name: string): void {
    this.placed = this.placed.filter(({ ensemble }) => ensemble.name !== name);
  }

  propose(effort = 1): Consolidation | undefined {
    return proposeConsolidation({ topology: this.topology, placed: this.placed }, { seed: 1, effort });
  }

  carryOut({ placed }: Consolidation): void {
    for (const changed of placed) {
      this.placed = this.placed.map((one) => (one.ensemble.name === changed.ensemble.name ? changed : one));
    }
  }

  used(): Set<HostId> {
    return new Set(this.placed.flatMap(({ placements }) => [...placements.values()]));
  }
}

describe("packing and consolidation on two hosts of four CPUs", () => {
  test("decide as the published experiment did: five tasks on A and B", () => {
    const cloud = new Cloud(site(["a", "b"]));
    assert.equal(cloud.up(task("task1", 300)), "b", "both are empty: the last of the topology");
    assert.equal(cloud.up(task("task2", 150)), "a", "b has 100% left");
    assert.equal(cloud.propose(), undefined, "neither finds room beside the other");
    assert.equal(cloud.up(task("task3", 100)), "b", "the fullest that still has room");
    assert.equal(cloud.propose(), undefined);
    cloud.down("task1");
    const proposal = cloud.propose();
    assert.equal(proposal?.host, "a", "either could be emptied by one move: the first of the topology is");
    assert.deepEqual(proposal.moves, [{ appliance: "task2/task", from: "a", to: "b" }]);
    cloud.carryOut(proposal);
    assert.equal(cloud.propose(), undefined, "one host is left in use");
    assert.equal(cloud.up(task("task4", 200)), "a", "b has 150% left");
    cloud.down("task4");
    assert.equal(cloud.up(task("task5", 300)), "a", "b has 150% left");
    assert.equal(cloud.propose(), undefined);
  });

  test("spread, the policy unless told, puts the second task on the other host", () => {
    const topology = site(["a", "b"]);
    const one = solveMapping(
      { topology, ensembles: [task("one", 100), task("two", 100)], existing: [] },
      { seed: 1 },
    );
    assert.equal(new Set(one.placements.values()).size, 2);
  });
});

describe("pack", () => {
  test("takes the fullest host that still has room, whatever its place in order", () => {
    for (const fullest of ["a", "b", "c"]) {
      const topology = site(["a", "b", "c"]);
      const existing = ["a", "b", "c"].map((host) => {
        const ensemble = task(`on-${host}`, host === fullest ? 200 : 100);
        return {
          ensemble,
          placements: new Map([[applianceId(ensemble.name, "task" as never), hostId(host)]]),
        };
      });
      const problem = { topology, existing, policy: "pack" as const };
      const fits = solveMapping({ ...problem, ensembles: [task("new", 150)] }, { seed: 1 });
      assert.deepEqual([...fits.placements.values()], [fullest]);
      const large = solveMapping({ ...problem, ensembles: [task("new", 250)] }, { seed: 1 });
      assert.deepEqual(large.violations, []);
      assert.ok(!large.placements.values().toArray().includes(hostId(fullest)));
    }
  });

  test("uses as few hosts as hold what runs at once", () => {
    const topology = site(["a", "b", "c", "d", "e", "f"]);
    const ensembles = [task("t1", 200), task("t2", 200), task("t3", 100), task("t4", 300), task("t5", 100)];
    const { placements, violations } = solveMapping(
      { topology, ensembles, existing: [], policy: "pack" },
      { seed: 1 },
    );
    assert.deepEqual(violations, []);
    assert.equal(new Set(placements.values()).size, 3);
  });
});

describe("proposeConsolidation()", () => {
  test("empties a host only if the links of who moves find bandwidth", () => {
    const linked = (mbit: number): Cloud => {
      const cloud = new Cloud(site(["a", "b", "c"], 100));
      const cpu = { kind: "share" as const, shareMilli: milliCpu(3000), limitMilli: milliCpu(4000) };
      const little = { ...cpu, shareMilli: milliCpu(500) };
      const pair = sampleEnsemble("pair", {
        appliances: [sampleAppliance("big", { cpu }), sampleAppliance("small", { cpu: little })],
        links: [sampleLink("big", "small", { bandwidthBps: megabitsPerSecond(mbit) })],
      });
      const filler = (name: string, percent: number, host: string): PlacedEnsemble => {
        const ensemble = task(name, percent);
        return {
          ensemble,
          placements: new Map([[applianceId(ensemble.name, "task" as never), hostId(host)]]),
        };
      };
      const at = (name: string, host: string) =>
        [applianceId(ensembleName("pair"), name as never), hostId(host)] as const;
      const placements = new Map([at("big", "a"), at("small", "b")]);
      cloud.placed = [{ ensemble: pair, placements }, filler("f1", 100, "a"), filler("f2", 300, "c")];
      return cloud;
    };
    // `a` is full: `small` can only go to `c`, and its link runs over the uplinks of both.
    assert.deepEqual(
      linked(50)
        .propose()
        ?.moves.map(({ to }) => to),
      ["c"],
    );
    const crowded = linked(50);
    const busy = sampleEnsemble("busy", {
      appliances: [sampleAppliance("x"), sampleAppliance("y")],
      links: [sampleLink("x", "y", { bandwidthBps: megabitsPerSecond(60) })],
    });
    const on = (name: string, host: string) => [applianceId(busy.name, name as never), hostId(host)] as const;
    crowded.placed.push({ ensemble: busy, placements: new Map([on("x", "c"), on("y", "a")]) });
    const immovable = new Set(["f2/task", "busy/x", "busy/y"].map((id) => id as ApplianceId));
    const { topology, placed } = crowded;
    assert.equal(proposeConsolidation({ topology, placed, immovable }, { seed: 1 }), undefined);
  });

  test("never empties a host with someone who may not move", () => {
    const cloud = new Cloud(site(["a", "b"]));
    cloud.placed = ["a", "b"].map((host) => {
      const ensemble = task(`on-${host}`, 100);
      return { ensemble, placements: new Map([[applianceId(ensemble.name, "task" as never), hostId(host)]]) };
    });
    const immovable = new Set([applianceId(ensembleName("on-a"), "task" as never)]);
    const problem = { topology: cloud.topology, placed: cloud.placed, immovable };
    assert.equal(proposeConsolidation(problem, { seed: 1 })?.host, "b");
    const both = new Set([...immovable, applianceId(ensembleName("on-b"), "task" as never)]);
    assert.equal(proposeConsolidation({ ...problem, immovable: both }, { seed: 1 }), undefined);
  });

  test("carried out again and again it ends, with one host fewer in use each time and every promise kept", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 2, max: 7 }), (seed, hosts) => {
        const random = seededRandom(seed);
        const names = Array.from({ length: hosts }, (_, index) => `h${index}`);
        const cloud = new Cloud(site(names));
        const free = new Map(names.map((name) => [name, 400]));
        for (let index = 0; index < 2 * hosts; index += 1) {
          const name = names[random.integer(hosts)]!;
          const percent = 10 * (1 + random.integer(20));
          if (free.get(name)! < percent) continue;
          free.set(name, free.get(name)! - percent);
          const ensemble = task(`t${index}`, percent);
          const placements = new Map([[applianceId(ensemble.name, "task" as never), hostId(name)]]);
          cloud.placed.push({ ensemble, placements });
        }
        for (let proposal = cloud.propose(0.1); proposal !== undefined; proposal = cloud.propose(0.1)) {
          const before = cloud.used();
          for (const { from, to } of proposal.moves) {
            assert.equal(from, proposal.host);
            assert.ok(before.has(to) && to !== from);
          }
          cloud.carryOut(proposal);
          before.delete(proposal.host);
          assert.deepEqual(cloud.used(), before);
          const ensembles = cloud.placed.map(({ ensemble }) => ensemble);
          const placements = new Map(cloud.placed.flatMap((one) => [...one.placements]));
          assert.deepEqual(
            lintMapping({ topology: cloud.topology, ensembles, existing: [] }, { placements, paths: [] }),
            [],
          );
        }
      }),
      { numRuns: 40 },
    );
  });
});
