import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { megabitsPerSecond } from "#base/units.ts";
import { Fabric, addressOfGuest, macOfGuest } from "./fabric.ts";
import type { Guest } from "./fabric.ts";

const guest = (number: number, host: number, ensemble = "shop"): Guest => ({
  ensemble,
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});
const attacker = guest(1, 1);
const target = guest(2, 2);
const victim = guest(3, 1);
const stranger = guest(4, 1, "bank");
const all = [attacker, target, victim, stranger];

let fabric: Fabric;
before(async () => {
  fabric = await Fabric.make(2, megabitsPerSecond(1000));
  await fabric.addGuests(all);
  await fabric.converge(all);
  assert.ok(await fabric.reaches(attacker, target));
  assert.ok(await fabric.reaches(target, victim));
});
after(() => fabric[Symbol.asyncDispose]());

/** Echo requests that have arrived in a namespace. */
async function echoesSeen(namespace: string): Promise<number> {
  const lines = (await fabric.inNamespace(namespace, "cat", "/proc/net/snmp")).split("\n");
  const [names, values] = lines.filter((line) => line.startsWith("Icmp:")).map((line) => line.split(" "));
  return Number(values?.[names?.indexOf("InEchos") ?? -1]);
}

async function arrives(namespace: string, ...ping: readonly string[]): Promise<boolean> {
  const earlier = await echoesSeen(namespace);
  await fabric.inGuest(attacker, "ping", "-c1", "-W1", ...ping);
  return (await echoesSeen(namespace)) > earlier;
}

const ipInGuest = async (...args: readonly string[]): Promise<void> => {
  const result = await fabric.inGuest(attacker, "ip", ...args);
  assert.equal(result.code, 0, result.stderr);
};

const pretendAddress = () =>
  arrives(fabric.guestNamespace(target), "-I", addressOfGuest(victim), addressOfGuest(target));

test("a frame under another member's address does not arrive", async () => {
  await ipInGuest("addr", "add", `${addressOfGuest(victim)}/16`, "dev", "eth0");
  assert.equal(await pretendAddress(), false);
  await ipInGuest("addr", "del", `${addressOfGuest(victim)}/16`, "dev", "eth0");
});

test("an ARP message under another member's address changes nobody's mind", async () => {
  await ipInGuest("addr", "add", `${addressOfGuest(victim)}/16`, "dev", "eth0");
  await ipInGuest("neigh", "flush", "dev", "eth0");
  await pretendAddress();
  const neighbours = await fabric.inGuest(target, "ip", "neigh", "show", addressOfGuest(victim));
  assert.match(neighbours.stdout, new RegExp(macOfGuest(victim)));
  await ipInGuest("addr", "del", `${addressOfGuest(victim)}/16`, "dev", "eth0");
});

test("a frame under another member's MAC does not arrive, and takes no traffic away from it", async () => {
  await ipInGuest("link", "set", "eth0", "address", macOfGuest(victim));
  assert.equal(await arrives(fabric.guestNamespace(target), addressOfGuest(target)), false);
  assert.ok(await fabric.reaches(target, victim), "the victim still gets its frames");
  await ipInGuest("link", "set", "eth0", "address", macOfGuest(attacker));
  assert.ok(await fabric.reaches(attacker, target), "and under its own MAC all is well again");
});

test("another ensemble is out of reach, even with its MAC known", async () => {
  await ipInGuest(
    "neigh",
    "replace",
    addressOfGuest(stranger),
    "lladdr",
    macOfGuest(stranger),
    "dev",
    "eth0",
  );
  assert.equal(await arrives(fabric.guestNamespace(stranger), addressOfGuest(stranger)), false);
});

test("the host is out of reach, even with its bridge's MAC known; without the rules it would not be", async () => {
  const [host] = fabric.hosts;
  assert.ok(host);
  const bridges = await host.run("ip", "-brief", "link", "show", "type", "bridge");
  await ipInGuest("route", "add", "172.30.0.0/24", "dev", "eth0");
  const macs = bridges.match(/..:..:..:..:..:../g) ?? [];
  const tries = async (): Promise<boolean> => {
    for (const each of macs) {
      await ipInGuest("neigh", "replace", host.address, "lladdr", each, "dev", "eth0");
      if (await arrives(host.namespace, host.address)) return true;
    }
    return false;
  };
  assert.equal(await tries(), false);
  await host.run("nft", "delete", "table", "bridge", "consort");
  assert.equal(await tries(), true, "the attempt itself works");
});
