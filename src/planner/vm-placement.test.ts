import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId } from "#base/ids.ts";
import type { HostId } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import { sampleTopology } from "#cluster/sample.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";
import { sampleVm } from "#model/sample-vm.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import { memoryDemandBytes } from "#planner/demand.ts";
import { explainMapping } from "#planner/explain.ts";
import { lintMapping } from "#planner/lint.ts";
import { solveMapping } from "#planner/mapper.ts";
import type { HostAbility, MappingProblem } from "#planner/mapping.ts";

const topology = sampleTopology("vxlan");

function problem(
  appliances: readonly ApplianceSpec[],
  able: Readonly<Record<string, readonly HostAbility[]>>,
): MappingProblem {
  const none: readonly HostAbility[] = ["task"];
  const capabilities = new Map<HostId, readonly HostAbility[]>(
    topology.hosts.map(({ id }) => [id, able[id] ?? none]),
  );
  return { topology, ensembles: [sampleEnsemble("shop", { appliances })], existing: [], capabilities };
}

describe("virtual machines and where they may run", () => {
  it("go only where a driver is, tasks anywhere", () => {
    const asked = problem([sampleVm("db", {}, { replicas: 3 }), sampleAppliance("web")], {
      b2: ["task", "vm"],
    });
    const { placements, violations } = solveMapping(asked, { seed: 1 });
    assert.deepEqual(violations, []);
    const machines = [...placements].filter(([id]) => id.startsWith("shop/db"));
    assert.deepEqual([...new Set(machines.map(([, host]) => host))], ["b2"]);
  });

  it("that want KVM go only where a guest ran in it, or are refused with what would do", () => {
    const kvm = [sampleVm("db", { accel: "kvm" })];
    const able = { a1: ["task", "vm"], b1: ["task", "vm", "kvm"] } as const;
    const asked = problem(kvm, able);
    const mapping = solveMapping(asked, { seed: 1 });
    assert.deepEqual([...mapping.placements.values()], ["b1"]);
    const [db] = explainMapping(asked, mapping).appliances;
    const reason = (host: string) => db?.candidates.find((one) => one.host === hostId(host))?.reason;
    assert.equal(reason("a1"), "no guest runs in KVM there");
    assert.equal(reason("a2"), "no driver for kind vm");

    const [refused] = solveMapping(problem(kvm, { a1: ["task", "vm"] }), { seed: 1 }).violations;
    assert.equal(refused?.kind, "no-driver");
    assert.deepEqual(refused?.kind === "no-driver" && refused.lacking, ["kvm"]);
    assert.match(
      refused?.message ?? "",
      /^Cannot place shop\/db: no guest runs in KVM on any of these hosts/,
    );
    assert.match(refused?.remedy ?? "", /^Declare accel: auto/);
  });

  it("take what QEMU needs beside their guests' memory, so that fewer fit than the guests alone would", () => {
    const spec = sampleVm("db", {}, { replicas: 8 });
    const all = Object.fromEntries(topology.hosts.map(({ id }) => [id, ["task", "vm"] as const]));
    assert.ok(memoryDemandBytes(spec) > mebibytes(128 + 64));
    assert.equal(memoryDemandBytes(sampleAppliance("web", { memoryBytes: mebibytes(128) })), mebibytes(128));
    const one = { a1: all["a1"]! };
    const tooMany = solveMapping(problem([spec], one), { seed: 1 });
    assert.deepEqual(
      tooMany.violations.map(({ kind }) => kind),
      ["host-memory"],
    );
    assert.match(tooMany.violations[0]?.message ?? "", /what QEMU itself needs with it$/);
    const asTasks = { ...sampleAppliance("db"), replicas: 8, memoryBytes: mebibytes(128) };
    assert.deepEqual(solveMapping(problem([asTasks], one), { seed: 1 }).violations, []);
    const spread = solveMapping(problem([spec], all), { seed: 1 });
    assert.deepEqual(spread.violations, []);
    assert.deepEqual(lintMapping(problem([spec], all), spread), []);
  });
});
