import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hostPlanBodies } from "#cluster/host-plans.ts";
import { sampleHosts, sampleRecord, sampleTopology } from "#cluster/sample.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

describe("where names of a network are served", () => {
  const ensemble = sampleEnsemble("shop", {
    appliances: [sampleAppliance("web", { replicas: 5, networks: ["lan", "back"] }), sampleAppliance("db")],
    networks: [{ name: "lan" }, { name: "back", subnet: "10.1.0.0/29" }],
  });
  const bodies = hostPlanBodies({
    ensembles: [sampleRecord(ensemble, { "web-1": "b1", "web-2": "b2" })],
    hosts: sampleHosts(),
    tunnels: new Map(),
    topology: sampleTopology("vxlan"),
  });
  const segments = [...bodies.values()].flatMap((body) => body.segments);

  it("is the same on every host, with the ensemble's domain", () => {
    const told = new Map(segments.map(({ network, naming }) => [network as string, naming]));
    assert.deepEqual(told.get("shop/lan"), {
      address: "10.64.0.1",
      mac: "02:00:00:01:00:01",
      prefixLength: 24,
      domain: "shop.consort",
    });
    assert.equal(told.get("shop/back")?.address, "10.1.0.1");
    assert.equal(segments.length, 6);
    for (const { network, naming } of segments) assert.deepEqual(naming, told.get(network));
  });

  it("is no member's address or MAC, also in a network that is full", () => {
    for (const { members, naming } of segments) {
      assert.ok(members.every(({ address, mac }) => address !== naming?.address && mac !== naming?.mac));
    }
    assert.equal(segments.find(({ network }) => network === "shop/back")?.members.length, 5);
  });
});
