import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostId, siteName } from "#base/ids.ts";
import { seededRandom } from "#base/seeded-random.ts";
import type { EnsembleRecord, TunnelRecord } from "#cluster/records.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { tunnelRecordWrites } from "#cluster/tunnel-records.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";
import type { HostReport } from "#protocol/host-report.ts";

const pair = sampleEnsemble("shop", { appliances: [sampleAppliance("web"), sampleAppliance("client")] });
const far = sampleRecord(pair, { web: "a1", client: "b1" });

const gatewayReport = (site: string, peers: string[]): HostReport =>
  ({
    host: hostId(`gw-${site}`),
    role: "gateway",
    site: siteName(site),
    tunnels: peers.map((peer) => ({ peerSite: siteName(peer), kind: "wireguard", up: false })),
  }) as unknown as HostReport;

const step = (
  ensembles: EnsembleRecord[],
  tunnels: [string, TunnelRecord][],
  witness: { reports?: HostReport[]; allMatch?: boolean },
): TunnelRecord[] =>
  tunnelRecordWrites(
    { ensembles, hosts: sampleHosts(), tunnels: new Map(tunnels), topology: sampleTopology() },
    { reports: [], allMatch: false, ...witness },
    seededRandom(1),
  ).map((write) => ("put" in write ? (write.value as TunnelRecord) : assert.fail("nothing is ever deleted")));

const unguarded: TunnelRecord = { index: 0, sharedKey: "k", guarded: false };
const guarded: TunnelRecord = { ...unguarded, guarded: true };

describe("tunnelRecordWrites()", () => {
  it("numbers a tunnel that is needed for the first time, with a key as OpenVPN writes it", () => {
    const [record] = step([far], [["alpha~gamma", unguarded]], {});
    assert.equal(record?.index, 1);
    assert.equal(record?.guarded, false);
    const lines = record?.sharedKey.trim().split("\n") ?? [];
    assert.equal(lines.length, 18);
    assert.match(lines[1] ?? "", /^[0-9a-f]{32}$/);
  });

  it("is guarded when both gateways say so, and not when one does", () => {
    const both = [gatewayReport("alpha", ["beta"]), gatewayReport("beta", ["alpha"])];
    assert.deepEqual(step([far], [["alpha~beta", unguarded]], { reports: both.slice(0, 1) }), []);
    assert.deepEqual(step([far], [["alpha~beta", unguarded]], { reports: both }), [guarded]);
  });

  it("stays guarded when a gateway is silent, and while the ensemble is not gone from every host", () => {
    assert.deepEqual(step([far], [["alpha~beta", guarded]], { allMatch: true }), []);
    assert.deepEqual(
      step([{ ...far, state: "removing" }], [["alpha~beta", guarded]], { allMatch: true }),
      [],
    );
    assert.deepEqual(step([], [["alpha~beta", guarded]], { allMatch: false }), []);
  });

  it("lets go when nobody needs it and every host matches its plan", () => {
    assert.deepEqual(step([], [["alpha~beta", guarded]], { allMatch: true }), [unguarded]);
  });
});
