import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  applianceId,
  applianceName,
  hostId,
  ipv4Address,
  macAddress,
  networkId,
  siteName,
} from "#base/ids.ts";
import { bitsPerSecond, bytes, micros, milliCpu } from "#base/units.ts";
import type { CloudSnapshot } from "#cluster/snapshot.ts";
import { ensembles } from "#formats/ensemble.arbitrary.ts";
import { formatProblem } from "#formats/problem.ts";
import { parseSnapshot } from "#formats/snapshot.ts";
import { appliancesOf, linksOf } from "#model/appliances.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";

const a1 = hostId("a1");

/** A cloud that runs these ensembles on its one known host, with every optional field there. */
function snapshotOf(list: readonly Ensemble[]): CloudSnapshot {
  return {
    format: "consort-snapshot/1",
    takenAtMs: 1_750_000_000_000,
    topology: defaultLabTopology(2, 2),
    hosts: [
      {
        id: a1,
        site: siteName("alpha"),
        role: "gateway",
        address: ipv4Address("172.30.1.1"),
        siteSubnet: "172.30.1.0/24",
        outsideAddress: ipv4Address("172.31.0.1"),
        tunnelPublicKey: "key",
        capacity: {
          cpuMilli: milliCpu(500),
          memoryBytes: bytes(2 ** 30),
          uplinkBps: bitsPerSecond(1e9),
        },
        labels: { disk: "ssd" },
        capabilities: ["task"],
      },
    ],
    standings: { [a1]: { fenced: true, scheduling: "draining", operation: "op-7" } },
    ensembles: list.map((ensemble, index) => ({
      ensemble,
      state: index % 2 === 0 ? "present" : "removing",
      placements: Object.fromEntries(appliancesOf(ensemble).map(({ id }) => [id, a1])),
      paths: linksOf(ensemble).map((link) => ({
        link,
        connection: "trivial",
        nodes: ["a1"],
        physicalLinks: [0],
        wireBps: bitsPerSecond(0),
        latencyUs: micros(10),
      })),
      networks: { lan: { vni: 17, subnet: "10.77.0.0/24" } },
      interfaces: {
        [applianceId(ensemble.name, applianceName("web"))]: [
          {
            network: networkId(ensemble.name, "lan"),
            mac: macAddress("02:c0:00:00:00:01"),
            address: ipv4Address("10.77.0.2"),
          },
        ],
      },
      leaving: { [applianceId(ensemble.name, applianceName("web"))]: [hostId("a2")] },
      unleased: {},
      operation: "op-1",
      revision: 3,
    })),
    tunnels: { "alpha beta": { index: 1, guarded: true } },
    cpuUsedMilli: { "shop/web": 125.5 },
  };
}

test("every snapshot reads back from its text as it was", () => {
  fc.assert(
    fc.property(fc.array(ensembles, { maxLength: 2 }), (list) => {
      const snapshot = snapshotOf(list);
      const parsed = parseSnapshot(JSON.stringify(snapshot), "cloud.json");
      assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
      // Typed: what was read is what the managers and the simulator take.
      const read: CloudSnapshot = parsed.value;
      assert.deepEqual(read, snapshot);
    }),
    { numRuns: 60 },
  );
});

/** The problems of the small snapshot with one part of its text replaced. */
function problemsWith(part: string, other: string): string {
  const text = JSON.stringify(snapshotOf([]));
  assert.ok(text.includes(part), part);
  const parsed = parseSnapshot(text.replace(part, other), "cloud.json");
  return parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n");
}

const refusals: readonly (readonly [string, string, string, RegExp])[] = [
  [
    "one of another version",
    "consort-snapshot/1",
    "consort-snapshot/2",
    /^cloud\.json format: expected "consort-snapshot\/1", not "consort-snapshot\/2"/,
  ],
  ["one cut short", '"cpuUsedMilli"', "", /^cloud\.json: this is no JSON; take one with consort snapshot/],
  ["another file", '"format"', '"kind"', /^cloud\.json: this is no snapshot: it has no format/],
  [
    "a number as text",
    '"cpuMilli":500,"memoryBytes":1073741824,"uplinkBps"',
    '"cpuMilli":"500","memoryBytes":1073741824,"uplinkBps"',
    /^cloud\.json hosts\[0\]\.capacity\.cpuMilli: expected a number of 0 or more, not "500"$/,
  ],
  [
    "a missing field",
    '"siteSubnet":"172.30.1.0/24",',
    "",
    /^cloud\.json hosts\[0\]\.siteSubnet: missing: expected text$/,
  ],
  [
    "a word nobody knows",
    '"draining"',
    '"drainin"',
    /^cloud\.json standings\.a1\.scheduling: expected one of open, cordoned, draining, not "drainin"; did you mean "draining"\?$/,
  ],
  [
    "a field nobody knows, and so a key that must not be there",
    '"guarded":true',
    '"guarded":true,"sharedKey":"secret"',
    /^cloud\.json tunnels\["alpha beta"\]\.sharedKey: "sharedKey" is not known here/,
  ],
];

for (const [what, part, other, expected] of refusals) {
  test(`${what} is refused`, () => assert.match(problemsWith(part, other), expected));
}
