import assert from "node:assert/strict";
import { test } from "node:test";
import { hostId, siteName } from "#base/ids.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu } from "#base/units.ts";
import { layOut, withoutNodes, type LabNode } from "#lab/layout.ts";
import type { Device, PhysicalLink, Topology } from "#model/topology.ts";

const host = (id: string, site: string): Topology["hosts"][number] => ({
  id: hostId(id),
  site: siteName(site),
  cpuMilli: milliCpu(1000),
  memoryBytes: mebibytes(64),
  labels: {},
});
const device = (id: string, kind: Device["kind"], site?: string): Device =>
  site === undefined ? { id, kind } : { id, kind, site: siteName(site) };
const link = (a: string, b: string, latencyUs = 0): PhysicalLink => ({
  a,
  b,
  bandwidthBps: megabitsPerSecond(100),
  latencyUs: micros(latencyUs),
});
const sites = (...names: string[]): Topology["sites"] =>
  names.map((name) => ({ name: siteName(name), tunnel: "vxlan" }));

/** Sites a and b at routers of their own, which a slow line joins. */
const twoRouters: Topology = {
  sites: sites("a", "b"),
  hosts: [host("a1", "a"), host("a2", "a"), host("b1", "b")],
  devices: [
    device("a-sw", "switch", "a"),
    device("a-gw", "gateway", "a"),
    device("b-sw", "switch", "b"),
    device("b-gw", "gateway", "b"),
    device("r1", "router"),
    device("r2", "router"),
  ],
  links: [
    link("a1", "a-sw"),
    link("a2", "a-sw"),
    link("a-gw", "a-sw"),
    link("b1", "b-sw"),
    link("b-gw", "b-sw"),
    link("a-gw", "r1", 1000),
    link("b-gw", "r2", 2000),
    link("r1", "r2", 10_000),
  ],
};

function nodeOf(topology: Topology, id: string): LabNode {
  const node = layOut(topology).nodes.find((candidate) => candidate.id === id);
  assert.ok(node, `no node ${id}`);
  return node;
}

test("a host has one uplink in its site's subnet and goes out by the gateway", () => {
  const node = nodeOf(twoRouters, "a2");
  assert.deepEqual(
    node.interfaces.map(({ name, address }) => [name, address]),
    [["uplink", "172.30.1.12/24"]],
  );
  assert.deepEqual(node.routes, [{ to: "default", via: "172.30.1.1" }]);
});

test("a gateway has an uplink in the site and a way out to its router", () => {
  const node = nodeOf(twoRouters, "b-gw");
  assert.deepEqual(
    node.interfaces.map(({ name, address }) => [name, address]),
    [
      ["uplink", "172.30.2.1/24"],
      ["wan", "172.31.2.2/30"],
    ],
  );
  assert.deepEqual(node.routes, [{ to: "default", via: "172.31.2.1" }]);
});

test("a router reaches its own site by the gateway and others by the next router", () => {
  assert.deepEqual(nodeOf(twoRouters, "r1").routes, [
    { to: "172.30.1.0/24", via: "172.31.1.2" },
    { to: "172.30.2.0/24", via: "172.29.0.2" },
    { to: "172.31.2.0/30", via: "172.29.0.2" },
  ]);
});

test("along a path every link's latency is made up for exactly once", () => {
  const delay = (router: string, from: string, to: string): number => {
    const found = nodeOf(twoRouters, router).delays.filter(({ paths }) =>
      paths.some((path) => path.from === from && path.to.includes(to)),
    );
    return found.reduce((sum, { delayUs }) => sum + delayUs, 0);
  };
  const there = delay("r1", "site1", "172.30.2.0/24") + delay("r2", "link2", "172.30.2.0/24");
  const back = delay("r2", "site2", "172.30.1.0/24") + delay("r1", "link2", "172.30.1.0/24");
  assert.equal(there, 13_000);
  assert.equal(back, 13_000);
});

test("switches may form a tree, not a loop", () => {
  const devices = ["s1", "s2", "s3"].map((id) => device(id, "switch", "a"));
  const tree = [link("s1", "s2"), link("s2", "s3"), link("h1", "s3")];
  const topology = { sites: sites("a"), hosts: [host("h1", "a")], devices, links: tree };
  assert.equal(layOut(topology).cables.length, 3);
  assert.throws(() => layOut({ ...topology, links: [...tree, link("s1", "s3")] }), { code: "bad_input" });
});

test("what cannot be wired is refused with the reason", () => {
  const refuse = (change: Partial<Topology>, reason: RegExp): void => {
    assert.throws(() => layOut({ ...twoRouters, ...change }), { code: "bad_input", message: reason });
  };
  refuse({ links: twoRouters.links.slice(1) }, /host a1 has 0 links to switches/);
  refuse({ links: [...twoRouters.links, link("a1", "nowhere")] }, /ends at "nowhere"/);
  refuse({ links: [...twoRouters.links, link("a1", "r1")] }, /cabled to a router or gateway/);
  refuse({ devices: [...twoRouters.devices, device("a-gw2", "gateway", "a")] }, /2 gateways/);
  refuse({ hosts: [...twoRouters.hosts, host("managers", "a")] }, /"managers"/);
});

test("without a node its cables are gone at both ends, and the ways through them; all else is as it was", () => {
  const whole = layOut(twoRouters);
  const gateway = whole.nodes.find(({ kind, siteIndex }) => kind === "gateway" && siteIndex === 1);
  assert.ok(gateway !== undefined);
  const left = withoutNodes(whole, new Set([gateway.id]));
  assert.equal(left.nodes.length, whole.nodes.length - 1);
  assert.equal(left.cables.length, whole.cables.length - gateway.interfaces.length);
  assert.ok(left.nodes.every(({ interfaces }) => interfaces.every(({ peer }) => peer !== gateway.id)));
  const addresses = new Set(gateway.interfaces.map(({ address }) => address?.split("/")[0]));
  const router = left.nodes.find(
    ({ id, kind }) => kind === "router" && gateway.interfaces.some(({ peer }) => peer === id),
  );
  assert.ok(router !== undefined && router.routes.length > 0);
  assert.ok(
    router.routes.every(({ via }) => !addresses.has(via)),
    "a way that the kernel would refuse",
  );
  const b1 = (nodes: readonly LabNode[]) => nodes.find(({ id }) => id === "b1");
  assert.equal(b1(left.nodes), b1(whole.nodes));
  assert.deepEqual(withoutNodes(whole, new Set()), whole);
});
