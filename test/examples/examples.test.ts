import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { median } from "#base/quantiles.ts";
import { iperfReceivedBps, runContention } from "#cli/tour/contention.ts";
import type { ContentionCase } from "#cli/tour/contention.ts";
import { netnsName, netnsPath } from "#lab/names.ts";
import { eventually } from "../rig/rig.ts";
import { example, labForTests } from "./lab.ts";

const lab = "examples";
const rig = labForTests(lab);
/** What TCP carries of a rate that counts whole Ethernet frames: 1450 bytes a packet less 52 of headers, in 1464. */
const goodput = 1398 / 1464;
/** Not a limit on how quick it is, only on how long a hopeless wait lasts. */
const patience = { timeout: 240_000 };

test(
  "hello: the two know each other by name, and what one says is in its log",
  patience,
  async ({ signal }) => {
    await rig().up(example("hello.yaml"), signal);
    const names = await rig().exec("hello", "listener", ["getent", "hosts", "greeter"], signal);
    assert.match(names.stdout, /^10\.\S+\s+greeter/);
    const ping = await rig().exec("hello", "listener", ["ping", "-c1", "-W5", "greeter"], signal);
    assert.equal(ping.exitCode, 0, ping.stdout + ping.stderr);
    await eventually("the greeting", signal, async () => {
      const text = await rig().client().text("/v1/ensembles/hello/appliances/greeter/log", signal);
      return text.includes("hello from greeter");
    });
    await rig().down("hello", signal);
  },
);

test(
  "shop: the web machines are apart and near the database, and one more leaves the others alone",
  patience,
  async ({ signal }) => {
    const shop = example("shop.yaml");
    await rig().up(shop, signal);
    const before = (await rig().status("shop", signal)).appliances;
    const webs = before.filter(({ name }) => name.startsWith("web-"));
    assert.equal(new Set(webs.map(({ host }) => host)).size, 2);
    assert.equal(new Set(before.map(({ site }) => site)).size, 1);
    const more = shop.appliances.map((one) => (one.name === "web" ? { ...one, replicas: 3 } : one));
    await rig().up({ ...shop, appliances: more, placement: [] }, signal);
    const after = (await rig().status("shop", signal)).appliances;
    assert.equal(after.length, 4);
    for (const { name, startedAtMs } of before)
      assert.equal(after.find((one) => one.name === name)?.startedAtMs, startedAtMs, name);
    await rig().down("shop", signal);
  },
);

test(
  "weather: read from XML, its nodes are at one site and all join in two networks",
  patience,
  async ({ signal }) => {
    await rig().up(example("weather.xml"), signal);
    const { appliances } = await rig().status("weather", signal);
    const nodes = appliances.filter(({ name }) => name.startsWith("node-"));
    assert.equal(nodes.length, 4);
    assert.equal(new Set(nodes.map(({ site }) => site)).size, 1);
    for (const { addresses } of nodes) assert.equal(addresses.length, 2);
    const address = appliances
      .find(({ name }) => name === "viewer")
      ?.addresses.find(({ network }) => network === "view")?.address;
    const ping = await rig().exec("weather", "node-4", ["ping", "-c1", "-W5", address ?? ""], signal);
    assert.equal(ping.exitCode, 0, ping.stdout + ping.stderr);
    await rig().down("weather", signal);
  },
);

test(
  "contention: promised bandwidth keeps response times under a bulk transfer",
  patience,
  async (context) => {
    const { signal } = context;
    const managed = example("contention.yaml");
    const cases = await runContention(
      {
        up: (ensemble, stop) => rig().up(ensemble, stop),
        exec: (appliance, command, stop) => rig().exec(managed.name, appliance, command, stop),
      },
      { unmanaged: example("contention-unmanaged.yaml"), managed },
      { seconds: 3, requestsPerSecond: 150, progress: () => {} },
      signal,
    );
    const page = await rig().exec("contention", "web", ["wc", "-c", "/tmp/page"], signal);
    assert.match(page.stdout, /^10240 /);
    const [alone, unmanaged, kept] = cases.map(medianMs);
    const told = cases.map(describe).join("; ");
    context.diagnostic(told);
    assert.ok(kept! < unmanaged! / 2, `managed is not much quicker than unmanaged: ${told}`);
    assert.ok(alone! < unmanaged! / 2, `the bulk transfer was in nobody's way: ${told}`);
    const [, , { bulkBps = 0 } = {}] = cases;
    assert.ok(
      bulkBps > 36e6 && bulkBps < 1e9,
      `the bulk transfer has its promise and no more than there is: ${told}`,
    );
    await rig().down("contention", signal);
  },
);

const medianMs = ({ responseMs }: ContentionCase): number => median(responseMs);
const describe = (one: ContentionCase): string =>
  `${one.name} p50 ${medianMs(one).toFixed(2)} ms, bulk ${((one.bulkBps ?? 0) / 1e6).toFixed(0)} Mbit/s`;

test(
  "two-sites: bandwidth follows the promise, and between the sites nothing travels in clear",
  patience,
  async (context) => {
    const { signal } = context;
    countPacketsInRouter();
    await rig().up(example("two-sites.yaml"), signal);
    for (const [from, to, mbps] of [
      ["left", "middle", 160],
      ["left", "right", 16],
      ["right", "middle", 16],
    ] as const) {
      const measured = await rig().exec(
        "two-sites",
        from,
        ["iperf3", "-c", to, "-t", "3", "-O", "1", "-J"],
        signal,
      );
      const got = iperfReceivedBps(measured.stdout) / 1e6;
      const wanted = mbps * goodput;
      context.diagnostic(`${from} to ${to}: ${got.toFixed(1)} of ${wanted.toFixed(1)} Mbit/s`);
      assert.ok(Math.abs(got / wanted - 1) < 0.1, `${from} to ${to}: ${got} Mbit/s, wanted ${wanted}`);
    }
    const { clear, sealed } = packetsInRouter();
    assert.equal(clear, 0, "no VXLAN packet crossed the router outside a tunnel");
    assert.ok(sealed > 1000, `${sealed} packets of the tunnel crossed the router`);
    await rig().down("two-sites", signal);
  },
);

function inRouter(input: string, ...args: string[]): string {
  const namespace = `--net=${netnsPath(netnsName(lab, "router"))}`;
  return execFileSync("nsenter", [namespace, "nft", ...args], { input, encoding: "utf8" });
}

function countPacketsInRouter(): void {
  const rules = `table ip watch {
    counter clear {}
    counter sealed {}
    chain passing {
      type filter hook prerouting priority raw
      udp dport 4789 counter name clear
      udp dport 51820-51900 counter name sealed
    }
  }`;
  inRouter(rules, "-f", "-");
}

function packetsInRouter(): { clear: number; sealed: number } {
  const text = inRouter("", "list", "counters");
  const of = (name: string): number =>
    Number(new RegExp(`counter ${name} {\\s*packets (\\d+)`).exec(text)?.[1]);
  return { clear: of("clear"), sealed: of("sealed") };
}
