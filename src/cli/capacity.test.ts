import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostId } from "#base/ids.ts";
import { mebibytes } from "#base/units.ts";
import { consort, json, testApi } from "#cli/cli.fixture.ts";
import type { SnapshotDocument } from "#formats/snapshot.ts";
import { parseTopology } from "#formats/topology.ts";
import { sampleAppliance, sampleEnsemble } from "#model/sample.ts";

const rack = "sites:\n  alpha: {hosts: {a1: {memory: 256MiB}, a2: {memory: 256MiB}, a3: {memory: 256MiB}}}\n";
const web = "ensemble: web\nappliances:\n  web: {command: sleep infinity, memory: 64MiB}\n";

/** A cloud of three hosts, one of them cordoned, with one appliance of 128 MiB on a1. */
function snapshot(): SnapshotDocument {
  const read = parseTopology(rack, { file: "rack.yaml" });
  assert.ok(read.ok);
  const topology = read.value;
  const ensemble = sampleEnsemble("copy-1", {
    appliances: [sampleAppliance("big", { memoryBytes: mebibytes(128) })],
  });
  const nothing = { networks: {}, interfaces: {}, leaving: {}, unleased: {}, operation: "op-1", revision: 1 };
  return {
    format: "consort-snapshot/1",
    takenAtMs: 0,
    topology,
    hosts: topology.hosts.map(({ id, site, cpuMilli, memoryBytes }) => ({
      id,
      site,
      role: "host",
      address: "172.30.1.1" as never,
      siteSubnet: "172.30.1.0/24",
      capacity: { cpuMilli, memoryBytes, uplinkBps: topology.links[0]!.bandwidthBps },
      labels: {},
      capabilities: ["appliance:task"],
    })),
    standings: { [hostId("a3")]: { fenced: false, scheduling: "cordoned" } },
    ensembles: [
      {
        ensemble,
        state: "present",
        placements: { ["copy-1/big" as never]: hostId("a1") },
        paths: [],
        ...nothing,
      },
    ],
    tunnels: {},
    cpuUsedMilli: {},
  };
}

describe("consort capacity", () => {
  let folder = "";
  const file = (name: string): string => join(folder, name);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "consort-capacity-"));
    await writeFile(file("rack.yaml"), rack);
    await writeFile(file("web.yaml"), web);
    await writeFile(file("cloud.json"), JSON.stringify(snapshot()));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test("fills a described cluster, and names what refuses one more", async () => {
    const { exit, out, err } = await consort([
      "capacity",
      "--survive",
      "none",
      "--topology",
      file("rack.yaml"),
      file("web.yaml"),
    ]);
    assert.deepEqual([exit, err], [0, ""]);
    assert.match(
      out,
      /^12 more copies of web fit\nPromised then: CPU 0%, memory 100%\nOne more is refused:\n {2}x Cannot reserve memory on a\d: it has 256MiB, 0B of it free, wanted 64MiB for copy-13\/web\n {6}remedy: /,
    );
  });

  test("leaves room for the loss of any one host, unless told otherwise", async () => {
    const { exit, out } = await consort(["capacity", "--topology", file("rack.yaml"), file("web.yaml")]);
    assert.equal(exit, 0);
    assert.match(
      out,
      /^8 more copies of web fit while any one host may be lost\nPromised then: CPU 0%, memory 67%\n/,
    );
    assert.match(
      out,
      /\nWith one more, the loss of a\d would leave something without a place:\n {2}x Cannot reserve memory/,
    );
  });

  test("asks the running cloud: what is promised counts, and cordoned hosts take nothing", async () => {
    await using api = await testApi({ "GET /v1/snapshot": json(snapshot()) });
    const none = await consort(["capacity", "--survive", "none", file("web.yaml")], { url: api.url });
    // 256 MiB on a2, and what the big one leaves on a1.
    assert.match(none.out, /^6 more copies of web fit\n/);
    const safe = await consort(["capacity", file("web.yaml")], { url: api.url });
    assert.match(safe.out, /^2 more copies of web fit while any one host may be lost\n/);
    assert.deepEqual(
      api.asked.map(({ method, url }) => `${method} ${url}`),
      Array(2).fill("GET /v1/snapshot"),
    );
  });

  test("answers the same for the snapshot in a file, as JSON with the placements that prove it", async () => {
    const { out } = await consort(["capacity", "--snapshot", file("cloud.json"), "--json", file("web.yaml")]);
    const { placements, binding, utilisation, ...rest } = JSON.parse(out) as Record<string, unknown>;
    assert.deepEqual(rest, { ensemble: "web", survive: "any-host", copies: 2 });
    assert.equal((placements as unknown[]).length, 2);
    assert.equal((binding as { kind: string }).kind, "host-loss");
    assert.deepEqual(utilisation, { cpu: 0, memory: 0.5, links: [] });
  });

  test("tells whether what runs now survives a loss apart from what binds the copies", async () => {
    const holds = await consort(["capacity", "--snapshot", file("cloud.json"), file("web.yaml")]);
    assert.match(
      holds.out,
      /\nWhat runs now survives the loss of any one host\nWith one more, the loss of a\d would/,
    );
    const cloud = snapshot();
    const standings = { ...cloud.standings, [hostId("a2")]: { fenced: false, scheduling: "cordoned" } };
    await writeFile(file("narrow.json"), JSON.stringify({ ...cloud, standings }));
    const ask = (...more: string[]) =>
      consort(["capacity", "--snapshot", file("narrow.json"), ...more, file("web.yaml")]);
    const safe = (await ask()).out;
    assert.match(safe, /^0 more copies of web fit while any one host may be lost\n/);
    assert.match(
      safe,
      /\nWhat runs now does not survive the loss of a1, so no copy is counted:\n {2}x Cannot place copy-1\/big/,
    );
    assert.doesNotMatch(safe, /With/);
    const full = (await ask("--survive", "none")).out;
    assert.match(full, /^2 more copies of web fit\n/);
    assert.match(full, /\nWhat runs now does not survive the loss of a1:\n/);
    assert.match(full, /\nOne more is refused:\n/);
    const told = JSON.parse((await ask("--survive", "none", "--json")).out) as {
      fatalNow?: { host: string };
    };
    assert.equal(told.fatalNow?.host, "a1");
    const empty = await consort(["capacity", "--topology", file("rack.yaml"), file("web.yaml")]);
    assert.doesNotMatch(empty.out, /What runs now/);
  });

  test("says of an ensemble that asks for nothing that any number fits", async () => {
    await writeFile(file("idle.yaml"), "ensemble: idle\nappliances:\n  idle: {command: sleep infinity}\n");
    const { out } = await consort([
      "capacity",
      "--most",
      "20",
      "--topology",
      file("rack.yaml"),
      file("idle.yaml"),
    ]);
    assert.equal(
      out,
      "Any number of copies of idle fits while any one host may be lost: it asks for no CPU, memory or bandwidth (20 were placed)\n",
    );
  });

  test("looks for no more than it is told, and not after its time", async () => {
    const ask = (...more: string[]) =>
      consort(["capacity", "--topology", file("rack.yaml"), file("web.yaml"), ...more]);
    assert.match(
      (await ask("--most", "3")).out,
      /^3 more copies .*\n.*\nMore may fit: it was looked for no more/,
    );
    assert.match(
      (await ask("--seconds", "0")).out,
      /^0 more copies .*\n.*\nMore may fit: the time to look was over/,
    );
  });

  test("refuses two clouds at once, and a loss it does not know", async () => {
    const both = await consort([
      "capacity",
      "--topology",
      file("rack.yaml"),
      "--snapshot",
      file("cloud.json"),
      file("web.yaml"),
    ]);
    assert.equal(both.exit, 2);
    assert.match(both.err, /--topology and --snapshot are two clouds, wanted one/);
    const other = await consort(["capacity", "--survive", "two", file("web.yaml")]);
    assert.equal(other.exit, 2);
    assert.match(other.err, /--survive is "two", wanted any-host or none/);
  });
});
