import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, test } from "node:test";
import { hostId, siteName } from "#base/ids.ts";
import { mebibytes, megabitsPerSecond, micros, milliCpu, millis } from "#base/units.ts";
import { labDown, labUp } from "#lab/lab.ts";
import type { Device, Topology } from "#model/topology.ts";
import { inNode, pingAverageMs } from "./measure.ts";
import { plainTopology, realMachine } from "./machine.ts";
import { marksOf } from "./marks.ts";

const { signal } = new AbortController();
const machine = realMachine();
const root = mkdtempSync(`${tmpdir()}/consort-lab-wiring-`);
const place = { name: "testwire", stateRoot: `${root}/state`, runRoot: `${root}/run`, machine };

before(() => labDown(place, signal));
after(async () => {
  await labDown(place, signal);
  rmSync(root, { recursive: true, force: true });
});

/** Two switches deep in site a, two routers between the sites, and a cable from host to host. */
function longForm(): Topology {
  const host = (id: string, site: string) => ({
    id: hostId(id),
    site: siteName(site),
    cpuMilli: milliCpu(500),
    memoryBytes: mebibytes(128),
    labels: {},
  });
  const at = (id: string, kind: Device["kind"], site: string): Device => ({ id, kind, site: siteName(site) });
  const link = (a: string, b: string, latencyMs = 0) => ({
    a,
    b,
    bandwidthBps: megabitsPerSecond(200),
    latencyUs: micros(latencyMs * 1000),
  });
  return {
    sites: ["a", "b"].map((name) => ({ name: siteName(name), tunnel: "vxlan" })),
    hosts: [host("a1", "a"), host("a2", "a"), host("b1", "b")],
    devices: [
      at("a-leaf", "switch", "a"),
      at("a-core", "switch", "a"),
      at("a-gw", "gateway", "a"),
      at("b-sw", "switch", "b"),
      at("b-gw", "gateway", "b"),
      { id: "r1", kind: "router" },
      { id: "r2", kind: "router" },
    ],
    links: [
      link("a1", "a-leaf"),
      link("a2", "a-core"),
      link("a-leaf", "a-core"),
      link("a-gw", "a-core"),
      link("b1", "b-sw"),
      link("b-gw", "b-sw"),
      link("a-gw", "r1", 2),
      link("r1", "r2", 5),
      link("b-gw", "r2", 3),
      link("a1", "a2"),
    ],
  };
}

test("switches behind switches, several routers and cables between hosts are built as drawn", async () => {
  await labUp({ ...place, topology: longForm(), managers: false }, signal);
  assert.equal((await inNode("testwire", "a1", ["ping", "-c1", "-W5", "172.30.1.12"])).code, 0);
  const far = await pingAverageMs("testwire", "a1", "172.30.2.11");
  assert.ok(far >= 20 && far < 40, `20 ms there and back wanted, ${far} ms measured`);
  const cable = await inNode("testwire", "a1", ["ping", "-c1", "-W5", "-I", "link2", "172.29.0.6"]);
  assert.equal(cable.code, 0, cable.stdout);
  await labDown(place, signal);
  assert.deepEqual(marksOf(place, machine), []);
});

test("an interrupted `up` stops soon, and leaves what `up` completes and `down` removes", async () => {
  const topology = plainTopology({ sites: 2, hostsPerSite: 3, wanLatencyUs: 1000 });
  const up = (interrupted: AbortSignal) => labUp({ ...place, topology, managers: false }, interrupted);
  for (const afterMs of [1, 10, 30, 60, 100]) {
    const interruption = new AbortController();
    const interrupted = up(interruption.signal).then(
      () => "done",
      () => "stopped",
    );
    await machine.clock.sleep(millis(afterMs), signal);
    interruption.abort();
    await interrupted;
    if (afterMs % 20 === 0) {
      assert.equal((await up(signal)).state, "up");
    }
    await labDown(place, signal);
    assert.deepEqual(marksOf(place, machine), [], `interrupted after ${afterMs} ms`);
  }
});

test("two labs are up at once and know nothing of each other", async () => {
  const other = { ...place, name: "testwire2" };
  const topology = plainTopology({ sites: 1, hostsPerSite: 2 });
  await Promise.all([place, other].map((one) => labUp({ ...one, topology, managers: false }, signal)));
  await labDown(place, signal);
  assert.equal((await inNode("testwire2", "s1h1", ["ping", "-c1", "-W5", "172.30.1.12"])).code, 0);
  await labDown(other, signal);
  assert.deepEqual(marksOf(other, machine), []);
});
