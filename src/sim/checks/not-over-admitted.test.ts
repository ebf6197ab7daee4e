import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ApplianceId } from "#base/ids.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import { sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import { solveMapping } from "#planner/mapper.ts";
import { overAdmitted, overloaded } from "#sim/checks/not-over-admitted.ts";

const topology = sampleTopology("vxlan");
const [host] = topology.hosts;
const share = (milli: number) =>
  ({ kind: "share", shareMilli: milliCpu(milli), limitMilli: milliCpu(milli) }) as const;

describe("overAdmitted()", () => {
  const greedy = (name: string) =>
    sampleEnsemble(name, { appliances: [sampleAppliance("web", { cpu: share(600) })] });

  it("finds two ensembles that together are promised more than a host has", () => {
    const records = ["shop", "mail"].map((name) => sampleRecord(greedy(name), { web: "a1" }));
    assert.deepEqual(overAdmitted(records, topology), {
      invariant: "not-over-admitted",
      message: "a1: CPU exceeded",
    });
    assert.equal(overAdmitted(records.slice(0, 1), topology), undefined);
  });

  it("finds a link promised more than its promisable share, headers counted", () => {
    const ensemble = sampleEnsemble("shop", {
      appliances: [sampleAppliance("web"), sampleAppliance("db")],
      links: [sampleLink("web", "db", { bandwidthBps: megabitsPerSecond(960) })],
      placement: [{ rule: "apart", scope: "host", appliances: ["web", "db"] }],
    });
    const generous = {
      ...topology,
      links: topology.links.map((link) => ({ ...link, bandwidthBps: megabitsPerSecond(2000) })),
    };
    const mapping = solveMapping({ topology: generous, ensembles: [ensemble], existing: [] }, { seed: 1 });
    const record = {
      ensemble,
      placements: Object.fromEntries(mapping.placements) as never,
      paths: mapping.paths,
    };
    assert.equal(overAdmitted([record], generous), undefined);
    assert.match(overAdmitted([record], topology)?.message ?? "", /bandwidth exceeded/);
  });

  it("finds a path that does not lead from one end to the other, unless an end's host is lost", () => {
    const ensemble = sampleEnsemble("shop", {
      appliances: [sampleAppliance("web"), sampleAppliance("db")],
      links: [sampleLink("web", "db")],
    });
    const mapping = solveMapping({ topology, ensembles: [ensemble], existing: [] }, { seed: 1 });
    const [here] = mapping.placements.values();
    const elsewhere = topology.hosts.find((one) => one.id !== here)?.id;
    const placements = { "shop/web": here, "shop/db": elsewhere } as never;
    const record = { ensemble, placements, paths: mapping.paths };
    assert.match(overAdmitted([record], topology)?.message ?? "", /does not join the two hosts/);
    assert.equal(
      overAdmitted([record], topology, (one) => one === here),
      undefined,
    );
  });

  it("asks nothing for an appliance that waits for a host", () => {
    const record = { ...sampleRecord(greedy("shop"), {}), placements: {} };
    assert.equal(overAdmitted([record], topology), undefined);
  });
});

describe("overloaded()", () => {
  const runs = (name: string, executes: boolean) => ({
    id: `shop/${name}` as ApplianceId,
    executes,
    cpu: { kind: "reservation", periodUs: micros(100_000), executionUs: micros(60_000) } as const,
    memoryBytes: mebibytes(100),
  });

  it("finds a host whose running appliances are guaranteed more than it has", () => {
    assert.ok(host);
    const breach = overloaded(host, [runs("web", true), runs("db", true)]);
    assert.match(
      breach?.message ?? "",
      /^a1 runs shop\/web, shop\/db, which are guaranteed 1200 thousandths/,
    );
    const heavy = { ...runs("web", true), memoryBytes: mebibytes(2000) };
    assert.match(overloaded(host, [heavy])?.message ?? "", /bytes of memory, and has/);
  });

  it("counts only what executes", () => {
    assert.ok(host);
    assert.equal(overloaded(host, [runs("web", true), runs("db", false)]), undefined);
  });
});
