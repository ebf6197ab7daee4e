import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { applianceId, applianceName, hostId } from "#base/ids.ts";
import { megabitsPerSecond, mebibytes, millis } from "#base/units.ts";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import type { EnsembleRecord, TunnelRecord } from "#cluster/records.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import type { TunnelKind } from "#model/topology.ts";

const pair = sampleEnsemble("shop", {
  appliances: [sampleAppliance("web"), sampleAppliance("client")],
  links: [sampleLink("web", "client", { bandwidthBps: megabitsPerSecond(160) })],
});

const tunnel: TunnelRecord = { index: 3, sharedKey: "secret", guarded: true };

const bodies = (
  records: EnsembleRecord[],
  options: { kind?: TunnelKind; tunnels?: [string, TunnelRecord][] } = {},
) =>
  hostPlanBodies({
    ensembles: records,
    hosts: sampleHosts(),
    tunnels: new Map(options.tunnels ?? []),
    topology: sampleTopology(options.kind),
  });

describe("hostPlanBodies()", () => {
  it("tells each host of its own appliances, and of all members of their networks", () => {
    const plans = bodies([sampleRecord(pair, { web: "a1", client: "a2" })]);
    const a1 = plans.get(hostId("a1"));
    assert.deepEqual(
      a1?.appliances.map((one) => one.id),
      ["shop/web"],
    );
    assert.deepEqual(
      a1?.segments[0]?.members.map((one) => [one.name, one.host]),
      [
        ["web", "a1"],
        ["client", "a2"],
      ],
    );
    assert.deepEqual(a1?.segments[0]?.peers, [sampleHosts().get(hostId("a2"))?.address]);
    assert.deepEqual(plans.get(hostId("b1"))?.segments, []);
  });

  it("holds an appliance back where it is to run while it may still run elsewhere, as the same generation", () => {
    const record = sampleRecord(pair, { web: "a1", client: "a2" });
    const moved = { ...record, leaving: { [applianceId(pair.name, applianceName("web"))]: [hostId("b1")] } };
    const planned = (from: EnsembleRecord) => bodies([from]).get(hostId("a1"))?.appliances[0];
    assert.equal(planned(moved)?.held, true);
    assert.equal(planned(record)?.held, undefined);
    assert.equal(planned(moved)?.generation, planned(record)?.generation);
    assert.equal(bodies([moved]).get(hostId("a2"))?.appliances[0]?.held, undefined);
  });

  it("shapes a link on both senders' hosts, and not at all inside one host unless it has a ceiling", () => {
    const apart = bodies([sampleRecord(pair, { web: "a1", client: "a2" })]);
    assert.equal(apart.get(hostId("a1"))?.shapedPairs.length, 1);
    assert.equal(apart.get(hostId("a2"))?.shapedPairs.length, 1);
    const together = bodies([sampleRecord(pair, { web: "a1", client: "a1" })]);
    assert.deepEqual(together.get(hostId("a1"))?.shapedPairs, []);
    const capped = sampleEnsemble("shop", {
      ...pair,
      links: [sampleLink("web", "client", { ceilingBps: megabitsPerSecond(16) })],
    });
    const local = bodies([sampleRecord(capped, { web: "a1", client: "a1" })]);
    assert.equal(local.get(hostId("a1"))?.shapedPairs.length, 2);
  });

  it("asks both gateways for a tunnel only while a network spans their sites", () => {
    const tunnels: [string, TunnelRecord][] = [["alpha~beta", tunnel]];
    const idle: [string, TunnelRecord][] = [["alpha~beta", { ...tunnel, guarded: false }]];
    const near = bodies([sampleRecord(pair, { web: "a1", client: "a2" })], { tunnels: idle });
    assert.deepEqual(near.get(hostId("gw-alpha"))?.tunnels, []);
    const far = bodies([sampleRecord(pair, { web: "a1", client: "b1" })], { tunnels });
    const [alpha] = far.get(hostId("gw-alpha"))?.tunnels ?? [];
    const [beta] = far.get(hostId("gw-beta"))?.tunnels ?? [];
    assert.equal(alpha?.peerPublicKey, "key-beta");
    assert.equal(alpha?.localTunnelAddress, beta?.peerTunnelAddress);
    assert.equal(alpha?.peerTunnelAddress, beta?.localTunnelAddress);
    assert.deepEqual(alpha?.peerSubnets, ["172.30.2.0/24"]);
  });

  it("tells hosts of members at the other site only once both gateways guard the way", () => {
    const record = sampleRecord(pair, { web: "a1", client: "b1" });
    const seenFromA1 = (guarded: boolean) => {
      const tunnels: [string, TunnelRecord][] = [["alpha~beta", { ...tunnel, guarded }]];
      const segment = bodies([record], { tunnels }).get(hostId("a1"))?.segments[0];
      return [segment?.members.map((member) => member.name), segment?.peers.length];
    };
    assert.deepEqual(seenFromA1(false), [["web"], 0]);
    assert.deepEqual(seenFromA1(true), [["web", "client"], 1]);
  });

  it("has the gateways guard the way before the peer's key is known, and after the last user is gone", () => {
    const tunnels: [string, TunnelRecord][] = [["alpha~beta", { ...tunnel, guarded: false }]];
    const hosts = sampleHosts();
    const beta = hosts.get(hostId("gw-beta"));
    assert.ok(beta);
    const { tunnelPublicKey: _key, ...keyless } = beta;
    hosts.set(beta.id, keyless);
    const far = sampleRecord(pair, { web: "a1", client: "b1" });
    const cloud = { ensembles: [far], hosts, tunnels: new Map(tunnels), topology: sampleTopology() };
    const [plan] = hostPlanBodies(cloud).get(hostId("gw-alpha"))?.tunnels ?? [];
    assert.ok(plan);
    assert.equal(plan.peerPublicKey, undefined);
    const left = bodies([], { tunnels: [["alpha~beta", tunnel]] });
    assert.equal(left.get(hostId("gw-alpha"))?.tunnels.length, 1);
  });

  it("keeps the mtu of a segment within what its tunnels carry", () => {
    const mtu = (kind: TunnelKind, client: string) =>
      bodies([sampleRecord(pair, { web: "a1", client })], { kind }).get(hostId("a1"))?.segments[0]?.mtu;
    assert.deepEqual(
      [mtu("wireguard", "a2"), mtu("vxlan", "b1"), mtu("wireguard", "b1"), mtu("openvpn", "b1")],
      [1450, 1450, 1370, 1350],
    );
  });

  it("shares no secret with a host that is not a gateway", () => {
    const far = bodies([sampleRecord(pair, { web: "a1", client: "b1" })], {
      kind: "openvpn",
      tunnels: [["alpha~beta", tunnel]],
    });
    for (const host of ["a1", "a2", "b1", "b2"])
      assert.ok(!JSON.stringify(far.get(hostId(host))).includes("secret"));
    assert.equal(far.get(hostId("gw-beta"))?.tunnels[0]?.sharedKey, "secret");
  });

  it("leaves out an ensemble that is being removed", () => {
    const record = { ...sampleRecord(pair, { web: "a1", client: "a2" }), state: "removing" as const };
    const a1 = bodies([record]).get(hostId("a1"));
    assert.deepEqual([a1?.appliances, a1?.segments, a1?.shapedPairs], [[], [], []]);
  });

  it("starts a new generation for a new command, and none for a new size or restart policy", () => {
    const generation = (fields: Parameters<typeof sampleAppliance>[1]) => {
      const ensemble = sampleEnsemble("shop", { appliances: [sampleAppliance("web", fields)] });
      return bodies([sampleRecord(ensemble, { web: "a1" })]).get(hostId("a1"))?.appliances[0]?.generation;
    };
    const base = generation({ memoryBytes: mebibytes(64) });
    assert.equal(generation({ memoryBytes: mebibytes(128) }), base);
    assert.equal(generation({ memoryBytes: mebibytes(64), stopGraceMs: millis(7) }), base);
    assert.notEqual(generation({ memoryBytes: mebibytes(64), command: ["false"] }), base);
    assert.notEqual(generation({}), base);
  });
});
