import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { bitsPerSecond, milliCpu } from "#base/units.ts";
import type { Ensemble } from "#model/ensemble.ts";
import type { Topology } from "#model/topology.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { Mapping } from "#planner/mapping.ts";
import { plantProblem } from "#planner/planted.ts";
import type { PlantedShape } from "#planner/planted.ts";

/**
 * An oracle that shares nothing with the mapper: the cost as docs/explanation/mapper.md defines it, written down
 * plainly, over every assignment of appliances to hosts. For trees, where two hosts have one path.
 */
class Oracle {
  readonly #topology: Topology;
  readonly #ensemble: Ensemble;
  readonly #hosts: readonly string[];

  constructor(topology: Topology, ensemble: Ensemble) {
    this.#topology = topology;
    this.#ensemble = ensemble;
    this.#hosts = topology.hosts.map((host) => host.id);
  }

  /** The lowest cost of all placements that keep every promise; Infinity when none does. */
  best(): number {
    const count = this.#ensemble.appliances.length;
    const where = new Map<string, string>();
    let lowest = Infinity;
    for (let code = 0; code < this.#hosts.length ** count; code += 1) {
      let rest = code;
      for (const { name } of this.#ensemble.appliances) {
        where.set(name, this.#hosts[rest % this.#hosts.length]!);
        rest = Math.floor(rest / this.#hosts.length);
      }
      lowest = Math.min(lowest, this.cost(where));
    }
    return lowest;
  }

  /** Infinity when a promise is broken. */
  cost(where: ReadonlyMap<string, string>): number {
    if (!this.#fits(where) || !this.#obeys(where)) return Infinity;
    const { links } = this.#ensemble;
    const asked = links.map((link): number => link.bandwidthBps ?? 0).filter((rate) => rate > 0);
    const average = asked.length === 0 ? 1 : asked.reduce((sum, rate) => sum + rate, 0) / asked.length;
    const carried = new Map<number, number>();
    let cost = 0;
    for (const link of links) {
      const path = this.#path(where.get(link.from)!, where.get(link.to)!);
      const routed = path.nodes.some((node) => this.#isRouter(node));
      if (routed && link.latency === "low") return Infinity;
      const rate = link.bandwidthBps ?? 0;
      // Outer headers of VXLAN are 50 bytes for a frame of 1464; a tunnel between sites adds 60.
      const onWire = Math.ceil((rate * (1464 + 50 + (routed ? 60 : 0))) / 1464);
      for (const physical of path.links) carried.set(physical, (carried.get(physical) ?? 0) + onWire);
      cost += path.links.length * (rate / average + 0.05 + (link.latency === "low" ? 0.25 : 0));
    }
    for (const [physical, rate] of carried) {
      if (rate > this.#topology.links[physical]!.bandwidthBps) return Infinity;
    }
    return cost + 0.05 * this.#unevenness(where);
  }

  #unevenness(where: ReadonlyMap<string, string>): number {
    let sum = 0;
    for (const host of this.#topology.hosts) sum += (this.#taken(where, host.id).cpu / host.cpuMilli) ** 2;
    return sum;
  }

  #fits(where: ReadonlyMap<string, string>): boolean {
    return this.#topology.hosts.every((host) => {
      const { cpu, memory } = this.#taken(where, host.id);
      return cpu <= host.cpuMilli && memory <= host.memoryBytes;
    });
  }

  #taken(where: ReadonlyMap<string, string>, host: string): { cpu: number; memory: number } {
    let cpu = 0;
    let memory = 0;
    for (const spec of this.#ensemble.appliances) {
      if (where.get(spec.name) !== host) continue;
      assert.equal(spec.cpu?.kind, "share");
      cpu += spec.cpu.shareMilli;
      memory += spec.memoryBytes ?? 0;
    }
    return { cpu, memory };
  }

  #obeys(where: ReadonlyMap<string, string>): boolean {
    return this.#ensemble.placement.every(({ rule, scope, appliances }) => {
      const places = appliances.map((name) => {
        const host = this.#topology.hosts.find(({ id }) => id === where.get(name))!;
        return scope === "host" ? host.id : host.site;
      });
      const distinct = new Set<string>(places).size;
      return rule === "together" ? distinct === 1 : distinct === places.length;
    });
  }

  #isRouter(node: string): boolean {
    return this.#topology.devices.some((device) => device.id === node && device.kind === "router");
  }

  /** Depth first: in a tree the first path found is the only one. */
  #path(from: string, to: string): { nodes: string[]; links: number[] } {
    const visit = (nodes: string[], links: number[]): { nodes: string[]; links: number[] } | undefined => {
      const at = nodes.at(-1)!;
      if (at === to) return { nodes, links };
      for (const [index, { a, b }] of this.#topology.links.entries()) {
        const next = a === at ? b : b === at ? a : undefined;
        if (next === undefined || nodes.includes(next)) continue;
        const found = visit([...nodes, next], [...links, index]);
        if (found !== undefined) return found;
      }
      return undefined;
    };
    return visit([from], [])!;
  }
}

const tiny: PlantedShape = {
  network: "tree",
  hosts: 4,
  sites: 1,
  appliances: 5,
  graph: "random3",
  load: 0.9,
};

function check(shape: PlantedShape, seed: number, change: (ensemble: Ensemble) => Ensemble): Mapping {
  const { topology, ensemble: planted } = plantProblem(shape, seededRandom(seed));
  const ensemble = change(planted);
  const oracle = new Oracle(topology, ensemble);
  const mapping = solveMapping({ topology, ensembles: [ensemble], existing: [] }, { seed });
  const best = oracle.best();
  const about = `${JSON.stringify(shape)} seed ${seed}`;
  assert.equal(mapping.violations.length === 0, best < Infinity, about);
  if (best === Infinity) return mapping;
  const where = new Map([...mapping.placements].map(([id, host]) => [id.slice(id.indexOf("/") + 1), host]));
  assert.ok(
    Math.abs(oracle.cost(where) - mapping.cost.total) < 1e-9,
    `${about}: its own cost ${mapping.cost.total}, here ${oracle.cost(where)}`,
  );
  assert.ok(mapping.cost.total <= best + 1e-9, `${about}: ${mapping.cost.total}, the best is ${best}`);
  return mapping;
}

const same = (ensemble: Ensemble): Ensemble => ensemble;

describe("the exact optimum of tiny problems, found by trying every placement", () => {
  for (const graph of ["ring", "star", "tree", "random3"] as const) {
    test(`is met on one site: ${graph}`, () => {
      for (let seed = 0; seed < 6; seed += 1) check({ ...tiny, graph }, seed, same);
    });
    test(`is met over two sites with low-latency links: ${graph}`, () => {
      for (let seed = 100; seed < 106; seed += 1) check({ ...tiny, graph, sites: 2 }, seed, same);
    });
  }

  test("is met under rules, or there is none and the mapper says so", () => {
    const rules = [
      { rule: "apart", scope: "host", appliances: ["a0", "a1", "a2"] },
      { rule: "together", scope: "host", appliances: ["a3", "a4"] },
      { rule: "together", scope: "site", appliances: ["a0", "a3"] },
    ] as const;
    const kept = [];
    for (let seed = 200; seed < 212; seed += 1) {
      const ruled = (ensemble: Ensemble): Ensemble => ({ ...ensemble, placement: [...rules] });
      kept.push(check({ ...tiny, sites: 2, load: 0.5 }, seed, ruled).violations.length === 0);
    }
    assert.ok(kept.includes(true));
  });

  test("is met, or there is none and the mapper says so, when too much is asked for", () => {
    const kept = new Set<boolean>();
    for (let seed = 300; seed < 312; seed += 1) {
      const more = (ensemble: Ensemble): Ensemble => ({
        ...ensemble,
        appliances: ensemble.appliances.map((spec) => {
          assert.equal(spec.cpu?.kind, "share");
          return {
            ...spec,
            cpu: { ...spec.cpu, shareMilli: milliCpu(Math.round(spec.cpu.shareMilli * 1.3)) },
          };
        }),
        links: ensemble.links.map((link) => ({
          ...link,
          bandwidthBps: bitsPerSecond(Math.round((link.bandwidthBps ?? 0) * 1.6)),
        })),
      });
      kept.add(check({ ...tiny, load: 0.8 }, seed, more).violations.length === 0);
    }
    assert.deepEqual(kept, new Set([true, false]));
  });
});
