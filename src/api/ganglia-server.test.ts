import assert from "node:assert/strict";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { ManualClock } from "#base/manual-clock.ts";
import { millis } from "#base/units.ts";
import { startGanglia } from "#api/ganglia-server.ts";
import type { GangliaServer } from "#api/ganglia-server.ts";
import { silentLog } from "#drivers/system/log.ts";
import { readXmlTree } from "#formats/xml-tree.ts";
import type { EnsembleStatus, HostStatus } from "#protocol/http/status.ts";

const host = (id: string): HostStatus => ({
  id,
  site: "a",
  role: "host",
  state: "ready",
  scheduling: "open",
  fenced: false,
  address: "172.30.1.2",
  labels: {},
  cpuMilli: 2000,
  cpuReservedMilli: 250,
  cpuUsedMilli: 500,
  memoryBytes: 1024 * 1024,
  memoryReservedBytes: 0,
  memoryUsedBytes: 256 * 1024,
  uplinkBps: 1e9,
  appliances: 1,
  tunnels: [],
  lastSeenMs: 1_700_000_000_000,
  problems: [],
});

const clock = new ManualClock();
let asked = 0;
let hosts: HostStatus[] = [host("h1")];
let ensembles: EnsembleStatus[] = [];

async function serve(context: TestContext, address = "127.0.0.1"): Promise<GangliaServer> {
  const service = {
    hosts: async () => {
      asked += 1;
      return hosts;
    },
    ensembles: async () => ensembles,
  };
  const parts = { cluster: "lab", version: "1.2.3", address, port: 0, clock, log: silentLog };
  const server = await startGanglia({ service, ...parts });
  context.after(() => server.close());
  return server;
}

async function read(server: GangliaServer): Promise<string> {
  const port = Number(server.address.split(":").at(-1));
  return text(connect(port, "127.0.0.1"));
}

const metricsOf = (xml: string, of = 0): ReadonlyMap<string, string | undefined> => {
  const element = readXmlTree(xml).children[0]!.children[of];
  return new Map(element!.children.map(({ attributes }) => [attributes["NAME"]!, attributes["VAL"]]));
};

test("whoever connects is told all hosts, in the words of a gmond", async (context) => {
  const xml = await read(await serve(context));
  const root = readXmlTree(xml);
  assert.equal(root.name, "GANGLIA_XML");
  assert.equal(root.attributes["SOURCE"], "gmond");
  assert.equal(root.children[0]?.attributes["NAME"], "lab");
  const metrics = metricsOf(xml);
  assert.equal(metrics.get("cpu_num"), "2");
  assert.equal(metrics.get("cpu_user"), "25.000");
  assert.equal(metrics.get("mem_total"), "1024.000");
  assert.equal(metrics.get("mem_free"), "768.000");
});

const mebibyte = 1024 * 1024;

/** One virtual machine, which has written so much. */
const shop = (writtenBytes: number): EnsembleStatus => ({
  name: "shop",
  state: "running",
  revision: 1,
  appliances: [
    {
      ensemble: "shop",
      name: "db",
      kind: "vm",
      host: "h1",
      state: "running",
      restarts: 0,
      addresses: [],
      cpuUsedMilli: 100,
      memoryLimitBytes: 224 * mebibyte,
      memoryUsedBytes: 90 * mebibyte,
      guest: {
        memoryTotalBytes: 110 * mebibyte,
        memoryAvailableBytes: 60 * mebibyte,
        readBytes: 4096,
        writtenBytes,
      },
    },
  ],
  networks: [],
  links: [],
});

test("a guest has its memory as it tells itself, and what its disks did between two readers", async (context) => {
  const server = await serve(context);
  context.after(() => {
    ensembles = [];
  });
  ensembles = [shop(1000)];
  const first = metricsOf(await read(server), 1);
  assert.equal(first.get("mem_total"), "112640.000");
  assert.equal(first.get("mem_free"), "61440.000");
  assert.equal(first.has("disk_written"), false);
  ensembles = [shop(9000)];
  clock.advance(millis(4000));
  const second = metricsOf(await read(server), 1);
  assert.deepEqual([second.get("disk_written"), second.get("disk_read")], ["2000.000", "0.000"]);
  ensembles = [shop(10)];
  clock.advance(millis(4000));
  assert.equal(metricsOf(await read(server), 1).has("disk_written"), false, "it began anew");
});

test("what a name says cannot break out of the document", async (context) => {
  hosts = [host(`h"/><HOST NAME='x`)];
  clock.advance(millis(1000));
  const xml = await read(await serve(context));
  hosts = [host("h1")];
  const found = readXmlTree(xml).children[0]!.children;
  assert.equal(found.length, 1);
  assert.equal(found[0]?.attributes["NAME"], `h"/><HOST NAME='x`);
});

test("many readers within a second cost as much as one, and later ones are told anew", async (context) => {
  const server = await serve(context);
  asked = 0;
  await Promise.all(Array.from({ length: 20 }, () => read(server)));
  assert.equal(asked, 1);
  clock.advance(millis(1000));
  await read(server);
  assert.equal(asked, 2);
});

test("it listens on this machine only", async (context) => {
  await assert.rejects(serve(context, "0.0.0.0"), { code: "forbidden" });
});
