import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { netnsMark } from "#lab/names.ts";
import { hexOfText, listenIn, packet, question, sendFrames } from "./frames.ts";
import type { Card } from "./frames.ts";
import { example, labForTests } from "./lab.ts";

/**
 * Two ensembles on the same hosts cannot see each other, nor the hosts, nor the managers; tried from inside as the
 * appliance's own user, and with raw frames as one who had every right in the appliance's network namespace.
 */
const lab = "isolation";
const signal = new AbortController().signal;
const cards = new Map<string, Card>();
const rig = labForTests(lab, async (ready) => {
  for (const file of ["two-ensembles-a.yaml", "two-ensembles-b.yaml"]) await ready.up(example(file), signal);
  const namespaces = readdirSync("/run/netns").filter((name) => name.startsWith(netnsMark(lab)));
  for (const ensemble of ["red", "blue"]) {
    const { appliances } = await ready.status(ensemble, signal);
    for (const { name, addresses } of appliances) {
      const [{ mac, address } = { mac: "none", address: "none" }] = addresses;
      const namespace = namespaces.find((each) => each.includes(".") && cardIn(each).includes(mac));
      assert.ok(namespace !== undefined, `no namespace has the card ${mac} of ${ensemble}/${name}`);
      cards.set(`${ensemble}/${name}`, { namespace, mac, address });
    }
  }
});

function cardIn(namespace: string): string {
  return execFileSync("ip", ["-n", namespace, "-o", "link", "show"], { encoding: "utf8" });
}

function card(id: string): Card {
  const known = cards.get(id);
  assert.ok(known, id);
  return known;
}

const inside = (command: readonly string[]) => rig().exec("red", "prober", command, signal);
/** Opens a TCP connection from inside, giving up soon; exit code 0 when somebody accepts it. */
const dial = (address: string, port: number | string) =>
  inside(["timeout", "2", "bash", "-c", `exec 3<>/dev/tcp/${address}/${port}`]);

test("each prober reaches the server of its own ensemble", async () => {
  assert.equal((await inside(["ping", "-c1", "-W5", "server"])).exitCode, 0);
  assert.equal((await dial(card("red/server").address, 5201)).exitCode, 0);
});

test("ping and TCP to the other ensemble go nowhere", async () => {
  const { address } = card("blue/server");
  assert.notEqual((await inside(["ping", "-c1", "-W1", address])).exitCode, 0);
  assert.notEqual((await dial(address, 5201)).exitCode, 0);
});

test("an appliance may neither change its address nor send raw frames", async () => {
  const { address } = card("blue/prober");
  assert.notEqual((await inside(["ip", "addr", "add", `${address}/24`, "dev", "eth0"])).exitCode, 0);
  assert.notEqual((await inside(["ip", "link", "set", "eth0", "down"])).exitCode, 0);
  const opened = await inside(["perl", "-e", "socket(S, 17, 3, 768) or exit 9"]);
  assert.equal(opened.exitCode, 9);
});

test("neither the hosts nor the managers answer from inside", async () => {
  const hosts = await rig().hosts(signal);
  for (const { address } of hosts) {
    assert.notEqual((await inside(["ping", "-c1", "-W1", address])).exitCode, 0, `ping ${address}`);
  }
  const api = new URL(rig().apiUrl());
  assert.notEqual((await dial(api.hostname, api.port)).exitCode, 0, "the API");
  for (const path of [rig().busPath, rig().stateDir, rig().runDir]) {
    assert.notEqual((await inside(["test", "-e", path])).exitCode, 0, path);
  }
});

test("frames to the other ensemble, and with others' addresses, are dropped; the same frames within it arrive", async () => {
  const prober = card("red/prober");
  const victims = await Promise.all(
    ["blue/server", "blue/prober", "red/server"].map(async (id) => ({
      id,
      heard: await listenIn(card(id).namespace),
    })),
  );
  const server = card("red/server");
  const blue = { server: card("blue/server"), prober: card("blue/prober") };
  const forbidden = {
    "plain to blue": packet(prober, blue.server, "forbidden-1"),
    "from blue's prober to blue's server": packet(blue.prober, blue.server, "forbidden-2"),
    "to blue with red's server's name": packet(server, blue.prober, "forbidden-3"),
    "with another address than its own": packet(
      { ...prober, address: server.address },
      server,
      "forbidden-4",
    ),
    "with another MAC than its own": packet({ ...prober, mac: blue.prober.mac }, server, "forbidden-5"),
    "asking blue for blue's server": question(prober, blue.server.address, "forbidden-6"),
    "asking as blue's prober": question(blue.prober, blue.server.address, "forbidden-7"),
    "asking in the name of red's server": question(server, prober.address, "forbidden-8"),
  };
  await sendFrames(prober.namespace, Object.values(forbidden));
  // What is sent last arrives last: after it nothing forbidden can still come.
  await sendFrames(prober.namespace, [packet(prober, server, "permitted")]);
  await sendFrames(blue.prober.namespace, [packet(blue.prober, blue.server, "permitted")]);
  await sendFrames(blue.server.namespace, [packet(blue.server, blue.prober, "permitted")]);
  try {
    for (const { heard } of victims) await heard.arrived(hexOfText("permitted"));
    for (const { id, heard } of victims) {
      for (const [index, what] of Object.keys(forbidden).entries()) {
        // A question of its own to all of its own ensemble is what any machine may ask.
        if (id === "red/server" && what.startsWith("asking blue")) continue;
        const mark = hexOfText(`forbidden-${index + 1}`);
        assert.ok(!heard.frames.some((frame) => frame.includes(mark)), `${id} heard the frame ${what}`);
      }
    }
  } finally {
    for (const { heard } of victims) await heard.stop();
  }
});

test("with every right in its namespace and an address of the other ensemble, still nobody answers", async () => {
  const { namespace } = card("red/prober");
  const { address } = card("blue/server");
  const other = address.replace(/\d+$/, "77");
  const asRoot = (...command: string[]): number => {
    try {
      execFileSync("nsenter", [`--net=/run/netns/${namespace}`, ...command], { stdio: "ignore" });
      return 0;
    } catch {
      return 1;
    }
  };
  assert.equal(asRoot("ip", "addr", "add", `${other}/24`, "dev", "eth0"), 0);
  assert.equal(asRoot("ping", "-c2", "-i0.2", "-W1", "-I", other, address), 1);
  for (const host of await rig().hosts(signal)) {
    asRoot("ip", "route", "replace", `${host.address}/32`, "dev", "eth0");
    assert.equal(asRoot("ping", "-c1", "-W1", host.address), 1, `${host.id} answers`);
  }
  assert.equal(asRoot("ip", "addr", "del", `${other}/24`, "dev", "eth0"), 0);
});
