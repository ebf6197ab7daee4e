import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { planOffline } from "#planner/offline.ts";
import { plantProblem } from "#planner/planted.ts";
import { sampleVm } from "#model/sample-vm.ts";

const { topology, ensemble } = plantProblem(
  { network: "tree", hosts: 8, sites: 2, appliances: 12, graph: "random3", load: 0.6 },
  seededRandom(7),
);

/** A clock that is 40 ms later each time it is read. */
function ticking(): () => number {
  let now = 1000;
  return () => (now += 40);
}

describe("planOffline()", () => {
  const plan = planOffline(topology, [ensemble], { seed: 1, elapsedMs: ticking() });

  test("places every appliance on a host of the topology", () => {
    const hosts = new Set<string>(topology.hosts.map((host) => host.id));
    assert.deepEqual(
      Object.keys(plan.placement).sort(),
      ensemble.appliances.map(({ name }) => `planted/${name}`).sort(),
    );
    for (const host of Object.values(plan.placement)) assert.ok(hosts.has(host), host);
    assert.deepEqual(plan.violations, []);
  });

  test("lists links in declared order, each path from one appliance's host to the other's", () => {
    assert.deepEqual(
      plan.paths.map(({ from, to, network, bandwidthBps }) => ({ from, to, network, bandwidthBps })),
      ensemble.links.map(({ from, to, bandwidthBps }) => ({
        from: `planted/${from}`,
        to: `planted/${to}`,
        network: "planted/lan",
        bandwidthBps,
      })),
    );
    for (const path of plan.paths) {
      assert.equal(path.nodes[0], plan.placement[path.from]);
      assert.equal(path.nodes.at(-1), plan.placement[path.to]);
      assert.equal(path.connection === "trivial", path.nodes.length === 1);
      assert.ok(path.wireBps >= path.bandwidthBps);
    }
  });

  test("adds up: score from cost, bandwidth × hops from paths", () => {
    assert.equal(plan.score, 1 / (1 + plan.cost.total));
    const hops = plan.paths.reduce(
      (sum, { bandwidthBps, nodes }) => sum + bandwidthBps * (nodes.length - 1),
      0,
    );
    assert.equal(plan.cost.bandwidthHopsBps, hops);
    assert.equal(plan.cost.moved, 0);
  });

  test("measures with the clock it is given, and answers the same for the same seed", () => {
    assert.equal(plan.timeMs, 40);
    assert.deepEqual(planOffline(topology, [ensemble], { seed: 1, elapsedMs: ticking() }), plan);
  });

  test("survives JSON unchanged", () => {
    assert.deepEqual(JSON.parse(JSON.stringify(plan)), plan);
  });

  test("says what cannot be placed, and leaves it out of the placement", () => {
    const [first, ...rest] = ensemble.appliances;
    const { vm } = sampleVm("any", { accel: "kvm" });
    const machine = { ...first!, kind: "vm" as const, vm: vm! };
    const refused = planOffline(topology, [{ ...ensemble, appliances: [machine, ...rest] }], {
      seed: 1,
      elapsedMs: ticking(),
    });
    assert.deepEqual(
      refused.violations.map((one) => one.kind),
      ["no-driver"],
    );
    assert.equal(refused.placement["planted/a0"], undefined);
    assert.ok(refused.paths.every(({ from, to }) => from !== "planted/a0" && to !== "planted/a0"));
  });
});
