import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { megabitsPerSecond } from "#base/units.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";
import { addressOfGuest, Fabric, macOfGuest } from "./fabric.ts";
import type { Guest } from "./fabric.ts";

const guest = (number: number, host: number): Guest => ({
  ensemble: "shop",
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});
/** A virtual machine: its namespace holds a bridge, and the guest behind it is a namespace of its own here. */
const machine = guest(1, 1);
const beside = guest(2, 1);
const far = guest(3, 2);
const all = [machine, beside, far];

let fabric: Fabric;
let inner: string;

const plan = (host: number): NetworkPlan => {
  const { ports, ...rest } = fabric.plan(fabric.hosts[host - 1]!, all);
  return {
    ...rest,
    ports: ports.map((port) =>
      port.appliance === "shop/guest-1" ? { ...port, guest: true as const } : port,
    ),
  };
};

before(async () => {
  fabric = await Fabric.make(2, megabitsPerSecond(1000));
  await fabric.addGuests(all);
  inner = `${fabric.prefix}vm`;
  await fabric.addNamespaces([inner]);
  await Promise.all(fabric.hosts.map((host) => host.converge(plan(host.number))));
});
after(async () => {
  await fabric[Symbol.asyncDispose]();
});

const linkOf = async (name: string): Promise<{ address: string; flags: string[]; addr_info: unknown[] }> => {
  const text = await fabric.inNamespace(fabric.guestNamespace(machine), "ip", "-j", "addr", "show", name);
  const [link] = JSON.parse(text) as { address: string; flags: string[]; addr_info: unknown[] }[];
  return link!;
};

test("the link of a machine's guest is up, with no address and another MAC than the guest's", async () => {
  const link = await linkOf("eth0");
  assert.ok(link.flags.includes("UP"), link.flags.join());
  assert.deepEqual(link.addr_info, []);
  assert.equal(link.address, `06${macOfGuest(machine).slice(2)}`);
  const routes = await fabric.inNamespace(fabric.guestNamespace(machine), "ip", "route");
  assert.equal(routes.trim(), "");
});

test("a guest behind a bridge in there is reached, and reaches, as a task does", async () => {
  const namespace = fabric.guestNamespace(machine);
  await fabric.batchIn(namespace, "ip", [
    "link add br0 type bridge",
    `link add tap0 type veth peer name eth0 netns ${inner} address ${macOfGuest(machine)}`,
    "link set tap0 master br0 up",
    "link set eth0 master br0",
    "link set br0 alias eth0",
    "addr add 169.254.1.1/16 dev br0",
    "link set br0 up",
  ]);
  await fabric.batchIn(inner, "ip", [
    `addr add ${addressOfGuest(machine)}/16 dev eth0`,
    "link set eth0 mtu 1450 up",
  ]);
  for (const other of [beside, far]) {
    assert.ok(await fabric.reaches(other, machine), `${other.name} reaches the guest`);
    await fabric.inNamespace(inner, "ping", "-c1", "-W1", addressOfGuest(other));
  }
});

test("frames of the bridge itself, or under another address, leave the namespace for nowhere", async () => {
  await fabric.batchIn(inner, "ip", ["addr add 10.77.0.99/16 dev eth0"]);
  const spoofed = fabric.inNamespace(inner, "ping", "-c1", "-W1", "-I", "10.77.0.99", addressOfGuest(beside));
  await assert.rejects(spoofed);
  const namespace = fabric.guestNamespace(machine);
  await fabric.batchIn(namespace, "ip", [`route add ${addressOfGuest(beside)}/32 dev br0`]);
  await assert.rejects(fabric.inNamespace(namespace, "ping", "-c1", "-W1", addressOfGuest(beside)));
});

test("converging again changes nothing inside: the bridge keeps its port", async () => {
  const indexBefore = await fabric.inNamespace(fabric.guestNamespace(machine), "ip", "-o", "link");
  await fabric.hosts[0]!.killDriver();
  await fabric.hosts[0]!.startDriver();
  await fabric.hosts[0]!.converge(plan(1));
  assert.equal(await fabric.inNamespace(fabric.guestNamespace(machine), "ip", "-o", "link"), indexBefore);
  assert.ok(await fabric.reaches(far, machine));
});

test("a guest whose link was removed gets another one in its bridge", async () => {
  const namespace = fabric.guestNamespace(machine);
  await fabric.batchIn(namespace, "ip", ["link del eth0"]);
  assert.equal(await fabric.reaches(far, machine), false);
  await fabric.hosts[0]!.converge(plan(1));
  assert.ok(await fabric.reaches(far, machine));
});
