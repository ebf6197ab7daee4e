import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { readXmlTree } from "#formats/xml-tree.ts";
import { sampleAppliance, sampleEnsemble, sampleLink } from "#model/sample.ts";
import { labForTests } from "../examples/lab.ts";
import { eventually } from "../rig/rig.ts";

const lab = labForTests("testganglia", async (rig) => {
  await rig.up(
    sampleEnsemble("shop", {
      appliances: [sampleAppliance("web"), sampleAppliance("db")],
      links: [sampleLink("web", "db")],
    }),
    new AbortController().signal,
  );
});
const { signal } = new AbortController();

function gangliaPort(): number {
  const { ganglia } = JSON.parse(readFileSync(join(lab().runDir, "api.json"), "utf8")) as { ganglia: string };
  return Number(ganglia.split(":").at(-1));
}

const listened = (port: number): Promise<string> => text(connect(port, "127.0.0.1"));

test("gstat lists every host and appliance as up", async () => {
  const { stdout, stderr, code } = await systemSubprocess().run(
    "gstat",
    ["-a", "-1", "-i", "127.0.0.1", "-p", String(gangliaPort())],
    signal,
  );
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  assert.match(stdout, /Dead Hosts: 0/);
  for (const name of ["a1", "b2", "web.shop.consort", "db.shop.consort"])
    assert.match(stdout, new RegExp(name));
});

test("gmetad takes it for a cluster, keeps its history and complains of nothing", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "consort-ganglia-"));
  const [xmlPort, interactivePort] = [await freePort(), await freePort()];
  writeFileSync(
    join(directory, "gmetad.conf"),
    [
      `data_source "lab" 1 127.0.0.1:${gangliaPort()}`,
      `rrd_rootdir "${directory}/rrds"`,
      "setuid off",
      `xml_port ${xmlPort}`,
      `interactive_port ${interactivePort}`,
      "",
    ].join("\n"),
  );
  rmSync(join(directory, "rrds"), { recursive: true, force: true });
  await systemSubprocess().check("mkdir", [join(directory, "rrds")], signal);
  const gmetad = spawn("gmetad", ["-d", "1", "-c", join(directory, "gmetad.conf")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [gmetad.stdout, gmetad.stderr]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
  }
  context.after(async () => {
    const ended = once(gmetad, "exit");
    gmetad.kill("SIGKILL");
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });
  let known = "";
  await eventually("gmetad tells of the appliances", signal, async () => {
    assert.equal(gmetad.exitCode, null, said);
    known = await listened(xmlPort);
    return known.includes("db.shop.consort");
  });
  assert.doesNotMatch(said, /error|fail|unable|bad/i);
  const withoutType = known.replace(/<!DOCTYPE[\s\S]*?\]>/, "");
  const cluster = readXmlTree(withoutType).children[0]?.children[0];
  assert.equal(cluster?.attributes["NAME"], "testganglia");
  const hosts = cluster?.children.map(({ attributes }) => attributes["NAME"]);
  assert.ok(hosts?.includes("a1") && hosts.includes("web.shop.consort"), known);
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
