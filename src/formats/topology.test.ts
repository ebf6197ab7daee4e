import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bitsPerSecond, bytes, micros, milliCpu } from "#base/units.ts";
import { formatProblem } from "#formats/problem.ts";
import { defaultLabTopology, parseTopology, topologyDocument } from "#formats/topology.ts";
import { yamlText } from "#formats/yaml-text.ts";
import { schedulingPolicies } from "#model/topology.ts";
import type { Topology } from "#model/topology.ts";

function topology(text: string): Topology {
  const parsed = parseTopology(text, { file: "t.yaml" });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value;
}

function problems(text: string): string[] {
  const parsed = parseTopology(text, { file: "t.yaml" });
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
}

test("the default lab has two sites of two hosts, a switch and a gateway around one router", () => {
  const lab = defaultLabTopology(2, 2);
  assert.deepEqual(
    lab.hosts.map((host) => `${host.site}/${host.id}`),
    ["alpha/a1", "alpha/a2", "beta/b1", "beta/b2"],
  );
  assert.deepEqual(
    lab.devices.map((device) => device.id),
    ["router", "sw-alpha", "gw-alpha", "sw-beta", "gw-beta"],
  );
  assert.deepEqual(
    lab.links.map((link) => `${link.a}-${link.b}`).filter((link) => link.includes("alpha")),
    ["a1-sw-alpha", "a2-sw-alpha", "sw-alpha-gw-alpha", "gw-alpha-router"],
  );
  assert.ok(lab.links.every((link) => link.bandwidthBps === 1e9 && link.latencyUs === 0));
  assert.ok(lab.sites.every((site) => site.tunnel === "wireguard"));
});

test("labs of any size have distinct names and say the same in their short form", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 25 }), fc.integer({ min: 1, max: 12 }), (sites, hosts) => {
      const lab = defaultLabTopology(sites, hosts);
      assert.equal(new Set(lab.hosts.map((host) => host.id)).size, sites * hosts);
      const document = topologyDocument(lab);
      assert.deepEqual(Object.keys(document), ["sites"]);
      assert.deepEqual(topology(yamlText(document)), lab);
    }),
    { numRuns: 30 },
  );
});

test("the short form takes budgets, labels, cables, tunnels and the latency between sites", () => {
  const read = topology(`
sites:
  alpha: {tunnel: openvpn, hosts: {a1: {cpu: 50%, memory: 512MiB, labels: {disk: ssd}, link: 100Mbit/s}}}
  beta: {hosts: {b1: , b2: {link: {bandwidth: 10Gbit/s, latency: 50us}}}}
interSite: {bandwidth: 500Mbit/s, latency: 5ms}
`);
  const [a1] = read.hosts;
  assert.deepEqual(a1, {
    id: "a1",
    site: "alpha",
    cpuMilli: 500,
    memoryBytes: 2 ** 29,
    labels: { disk: "ssd" },
  });
  const cable = (a: string): unknown[] =>
    read.links.filter((link) => link.a === a).map((link) => [link.b, link.bandwidthBps, link.latencyUs]);
  assert.deepEqual(cable("a1"), [["sw-alpha", 100e6, 0]]);
  assert.deepEqual(cable("b2"), [["sw-beta", 10e9, 50]]);
  assert.deepEqual(
    cable("gw-beta"),
    [["router", 500e6, 2500]],
    "half of the latency on each side of the router",
  );
  assert.equal(read.sites[0]?.tunnel, "openvpn");
});

test("a host is told how to fill its dispatch tables; slots have a length they can have", () => {
  const [a1, a2, a3] = topology(`
sites:
  alpha:
    hosts:
      a1: {dispatch: {policy: earliest-deadline-first, quantum: 5ms}}
      a2: {dispatch: {quantum: 2500us}}
      a3: {}
`).hosts;
  assert.deepEqual(a1?.dispatch, { policy: "earliest-deadline-first", quantumUs: 5_000 });
  assert.deepEqual(a2?.dispatch, { policy: "rate-monotonic", quantumUs: 2_500 });
  assert.equal(a3?.dispatch, undefined);
  assert.deepEqual(problems("sites: {alpha: {hosts: {a1: {dispatch: {quantum: 20ms}}}}}"), [
    't.yaml:1:50 sites.alpha.hosts.a1.dispatch.quantum: expected a slot of 1ms to 10ms, such as 5ms, not "20ms"',
  ]);
});

const longForms: fc.Arbitrary<Topology> = fc
  .record({
    hosts: fc.integer({ min: 1, max: 6 }),
    rate: fc.integer({ min: 1, max: 1e10 }),
    delay: fc.nat(1e6),
    dispatch: fc.option(
      fc.record(
        {
          policy: fc.constantFrom(...schedulingPolicies),
          quantumUs: fc.integer({ min: 1_000, max: 10_000 }).map(micros),
        },
        { requiredKeys: ["policy"], noNullPrototype: true },
      ),
      { nil: undefined },
    ),
  })
  .map(({ hosts, rate, delay, dispatch }) => {
    const lab = defaultLabTopology(1, hosts);
    const links = lab.links.map((link) => ({
      ...link,
      bandwidthBps: bitsPerSecond(rate),
      latencyUs: micros(delay),
    }));
    const [site] = lab.sites;
    assert.ok(site !== undefined);
    const extra = { id: "core", kind: "switch" as const, site: site.name };
    const trunk = { a: "core", b: "sw-alpha", bandwidthBps: bitsPerSecond(rate), latencyUs: micros(delay) };
    const budget = {
      cpuMilli: milliCpu(rate % 64_000 || 1),
      memoryBytes: bytes(rate),
      ...(dispatch === undefined ? {} : { dispatch }),
    };
    return {
      sites: lab.sites,
      hosts: lab.hosts.map((host) => ({ ...host, ...budget })),
      devices: [...lab.devices, extra],
      links: [...links, trunk],
    };
  });

test("any fabric says the same in its long form", () => {
  fc.assert(
    fc.property(longForms, (fabric) =>
      assert.deepEqual(topology(yamlText(topologyDocument(fabric))), fabric),
    ),
  );
});

test("what is wrong is said with its place and what to write", () => {
  const text = `
sites: {alpha: {}, beta: {}}
hosts:
  h1: {site: alpha}
  h2: {site: betta}
  h3: {site: beta}
devices:
  s1: {kind: switch, site: alpha}
  g: {kind: gateway}
links:
  - [h1, s1, 10]
  - [h1, s2]
  - [h3, s1]
  - [h1, s1]
  - [s1, h1]
  - [s1, s1]
`;
  assert.deepEqual(problems(text), [
    't.yaml:5:14 hosts.h2.site: no site "betta"; did you mean "beta"?',
    "t.yaml:9:3 devices.g: a gateway belongs to a site; write site: NAME",
    't.yaml:11:14 links[0][2]: expected a bandwidth such as 600Mbit/s or 1Gbit/s, not "10"; write 10Mbit/s',
    't.yaml:12:5 links[1]: no host or device "s2"; did you mean "h2"?',
    't.yaml:13:5 links[2]: "h3" is at site beta, "s1" at alpha: sites meet at gateways and routers only',
    't.yaml:15:5 links[4]: "s1" and "h1" are cabled already; write one cable with the bandwidth of both',
    't.yaml:16:5 links[5]: "s1" is cabled to itself',
  ]);
});

test("a name is either a host's or a device's", () => {
  const text = "sites: {alpha: {hosts: {router: {}}}}";
  assert.match(problems(text).join(), /"router" is already|cabled already|choose another name/);
});
