import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";
import { megabitsPerSecond, millis } from "#base/units.ts";
import type { NetworkPlan } from "#drivers/network/port.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { addressOfGuest, Fabric, macOfGuest, namingAddress } from "./fabric.ts";
import type { Guest } from "./fabric.ts";

const clock = systemClock();
const cgroups = systemCgroups(clock);
const signal = AbortSignal.timeout(90_000);
const parent = `consort-naming-test-${process.pid}`;
const directory = mkdtempSync(join(tmpdir(), "naming-"));
const uid = 199_998;
const hostListener = "127.0.77.53";
const dhcpMessage = fileURLToPath(new URL("dhcp-message.child.ts", import.meta.url));

const guest = (number: number, host: number, ensemble = "shop"): Guest => ({
  ensemble,
  network: "lan",
  name: `guest-${number}`,
  host,
  number,
});
/** A virtual machine's: its end has no address, and asks for one. */
const machine = guest(1, 1);
const task = guest(2, 1);
const far = guest(3, 2);
const stranger = guest(4, 1, "bank");
const late = guest(5, 2);
const all = [machine, task, far, stranger];

let fabric: Fabric;

const plan = (host: number, guests: readonly Guest[]): NetworkPlan => {
  const { ports, ...rest } = fabric.plan(fabric.hosts[host - 1]!, guests, { naming: true });
  return {
    ...rest,
    ports: ports.map((port) =>
      port.appliance === "shop/guest-1" ? { ...port, guest: true as const } : port,
    ),
  };
};
const converge = (guests: readonly Guest[]) =>
  Promise.all(fabric.hosts.map((host) => host.converge(plan(host.number, guests))));

const groupsOf = (host: number): string[] =>
  cgroups
    .open(`${parent}/${host}`)
    .children()
    .filter((name) => name.startsWith("naming-"));
const pidsOf = (host: number, group: string): number[] => cgroups.open(`${parent}/${host}/${group}`).pids();
/** Of the shop's segment, which has the most members. */
const segmentGroup = (host: number): string =>
  groupsOf(host).find((name) => {
    const file = join(directory, String(host), name.slice("naming-".length), "config");
    return existsSync(file) && readFileSync(file, "utf8").includes("domain=shop.consort");
  })!;

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) {
    assert.ok(!signal.aborted, `in vain: ${what}`);
    await clock.sleep(millis(20), signal);
  }
}

async function lookUp(namespace: string, name: string, server: string): Promise<string | undefined> {
  const answer = await fabric
    .inNamespace(namespace, "busybox", "nslookup", "-type=a", name, server)
    .catch(() => "");
  return /Name:.*\nAddress:\s*(\S+)/.exec(answer)?.[1];
}
const asks = (who: Guest, name: string) => lookUp(fabric.guestNamespace(who), name, namingAddress);
const isServed = (who: Guest) =>
  until(`names for ${who.name}`, async () => (await asks(who, "guest-3")) !== undefined);

before(async () => {
  fabric = await Fabric.make(2, megabitsPerSecond(1000), {
    naming: (host) => ({
      directory: join(directory, String(host)),
      uid,
      cgroupParent: `${parent}/${host}`,
      listenAddress: hostListener,
    }),
  });
  await fabric.addGuests([...all, late]);
  await converge(all);
  const namespace = fabric.guestNamespace(machine);
  await fabric.batchIn(namespace, "ip", [
    "link set eth0 down",
    `link set eth0 address ${macOfGuest(machine)} up`,
  ]);
});
after(async () => {
  for (const host of fabric.hosts) await host.killDriver();
  const group = cgroups.open(parent);
  const kill = (path: string): void => {
    const one = cgroups.open(path);
    for (const pid of one.pids()) process.kill(pid, "SIGKILL");
    for (const name of one.children()) kill(`${path}/${name}`);
  };
  kill(parent);
  await group.remove(signal);
  await fabric[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

test("a machine that asks by DHCP is given exactly its address, its network's MTU and where names are", async () => {
  const script = join(directory, "script");
  const told = join(directory, "told");
  writeFileSync(script, `#!/bin/sh\n[ "$1" = bound ] && env > ${told}\nexit 0\n`, { mode: 0o755 });
  await until("a lease", async () => {
    const client = [
      "udhcpc",
      "-i",
      "eth0",
      "-n",
      "-q",
      "-f",
      "-t",
      "1",
      "-T",
      "1",
      "-O",
      "mtu",
      "-O",
      "search",
    ];
    await fabric.inGuest(machine, "busybox", ...client, "-s", script);
    return existsSync(told);
  });
  const env = Object.fromEntries(
    readFileSync(told, "utf8")
      .split("\n")
      .map((line) => line.split("=", 2)),
  ) as Record<string, string>;
  assert.equal(env["ip"], addressOfGuest(machine));
  assert.deepEqual(
    [env["mask"], env["mtu"], env["dns"], env["router"]],
    ["16", "1450", namingAddress, undefined],
  );
  assert.deepEqual([env["domain"], env["search"]], ["shop.consort", "shop.consort"]);
  await fabric.batchIn(fabric.guestNamespace(machine), "ip", [
    `addr add ${addressOfGuest(machine)}/16 dev eth0`,
  ]);
});

test("every member resolves every member, by its full and its short name, whichever host they are on", async () => {
  for (const who of [machine, task, far]) {
    await isServed(who);
    for (const other of [machine, task, far]) {
      assert.equal(await asks(who, other.name), addressOfGuest(other), `${who.name} asks for ${other.name}`);
      assert.equal(await asks(who, `${other.name}.shop.consort`), addressOfGuest(other));
    }
  }
});

test("nobody learns another ensemble's names, or anything of the world", async () => {
  await until("names for the stranger", async () => (await asks(stranger, "guest-4")) !== undefined);
  assert.equal(await asks(stranger, "guest-1"), undefined);
  assert.equal(await asks(machine, "guest-4.bank.consort"), undefined);
  assert.equal(await asks(machine, "localhost"), undefined);
  assert.equal(await asks(machine, "deb.debian.org"), undefined);
});

test("programs of the host resolve full names of all its ensembles", async () => {
  const { namespace } = fabric.hosts[0]!;
  await until(
    "names for the host",
    async () => (await lookUp(namespace, "guest-3.shop.consort", hostListener)) === addressOfGuest(far),
  );
  assert.equal(await lookUp(namespace, "guest-4.bank.consort", hostListener), addressOfGuest(stranger));
  assert.equal(await lookUp(namespace, "guest-4", hostListener), undefined);
});

test("who serves names is a user of its own, without a way to anywhere but its segment", async () => {
  const [pid] = pidsOf(1, segmentGroup(1));
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  assert.match(status, new RegExp(`Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}`));
  assert.match(status, /NoNewPrivs:\t1/);
  assert.notEqual(readlinkSync(`/proc/${pid}/ns/net`), readlinkSync("/proc/self/ns/net"));
  const inside = await fabric.inNamespace(
    fabric.hosts[0]!.namespace,
    "nsenter",
    `--net=/proc/${pid}/ns/net`,
    "ip",
    "-br",
    "link",
  );
  assert.deepEqual(
    inside
      .trim()
      .split("\n")
      .map((line) => line.split(/[ @]/)[0]),
    ["lo", "naming"],
  );
  const routes = await fabric.inNamespace(
    fabric.hosts[0]!.namespace,
    "nsenter",
    `--net=/proc/${pid}/ns/net`,
    "ip",
    "route",
  );
  assert.match(routes.trim(), /^10\.77\.0\.0\/16 dev naming[^\n]*$/);
});

test("its answer is that of the same host: no question for it leaves the host, and no member of another gets there", async () => {
  await fabric.hosts[0]!.killDriver();
  const group = cgroups.open(`${parent}/1/${segmentGroup(1)}`);
  for (const pid of group.pids()) process.kill(pid, "SIGKILL");
  await until("its end", () => group.pids().length === 0);
  const link = `cstn${segmentGroup(1).slice("naming-".length)}`;
  await until(
    "the end of its namespace",
    async () => !(await fabric.hosts[0]!.run("ip", "-br", "link")).includes(link),
  );
  await fabric.inGuest(machine, "ip", "neigh", "flush", "all");
  assert.equal(await asks(machine, "guest-3"), undefined);
  const neighbour = await fabric.inGuest(machine, "ip", "neigh", "show", namingAddress);
  assert.doesNotMatch(neighbour.stdout, /lladdr/);
  assert.equal(await asks(far, "guest-1"), addressOfGuest(machine));
  await fabric.hosts[0]!.startDriver();
  await converge(all);
  await isServed(machine);
});

test("who claims another address, or asks for anything else, is not heard", async () => {
  await fabric.batchIn(fabric.guestNamespace(task), "ip", ["addr add 10.77.0.77/16 dev eth0"]);
  const spoofed = await fabric.inGuest(task, "ping", "-c1", "-W1", "-I", "10.77.0.77", namingAddress);
  assert.notEqual(spoofed.code, 0);
  const honest = await fabric.inGuest(task, "ping", "-c1", "-W1", "-I", addressOfGuest(task), namingAddress);
  assert.equal(honest.code, 0);
  const [pid] = pidsOf(1, segmentGroup(1));
  const server = fabric.spawnIn(
    fabric.hosts[0]!.namespace,
    "nsenter",
    `--net=/proc/${pid}/ns/net`,
    "busybox",
    "nc",
    "-l",
    "-p",
    "8080",
  );
  const other = await fabric.inGuest(
    task,
    "busybox",
    "timeout",
    "1",
    "busybox",
    "nc",
    "-w",
    "1",
    namingAddress,
    "8080",
  );
  assert.notEqual(other.code, 0);
  server.kill("SIGKILL");
});

test("a flood of questions is worth no more to its sender, and costs the others nothing", async () => {
  const flood = `use IO::Socket::INET; my $s = IO::Socket::INET->new(Proto => "udp", PeerAddr => "${namingAddress}:53"); for (1..40000) { $s->send("x" x 40) }`;
  const flooding = fabric.inGuest(task, "perl", "-e", flood);
  const asked = Array.from({ length: 5 }, () => asks(machine, "guest-3"));
  for (const answer of await Promise.all(asked)) assert.equal(answer, addressOfGuest(far));
  await flooding;
  await until("it is heard again", async () => (await asks(task, "guest-3")) === addressOfGuest(far));
});

test("members hear nothing of who asks for an address, and cannot give one", async () => {
  const listen = `use IO::Socket::INET; my $s = IO::Socket::INET->new(Proto => "udp", LocalPort => 67, Broadcast => 1) or die; $| = 1; print "ready\n"; $s->recv(my $x, 9000); print "heard\n"`;
  const ears = fabric.spawnInGuest(task, "perl", "-e", listen);
  let said = "";
  ears.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await until("it listens", () => said.includes("ready"));
  const client = ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "2", "-T", "1", "-s", "/bin/true"];
  const asked = await fabric.inGuest(machine, "busybox", ...client);
  assert.match(
    `${asked.stdout}${asked.stderr}`,
    new RegExp(`lease of ${addressOfGuest(machine)} obtained from`),
  );
  assert.doesNotMatch(said, /heard/);
  ears.kill("SIGKILL");
});

const declined = "4";
const requested = "3";

test("who speaks DHCP for another's card is not heard, and a name that one calls itself is not its name", async () => {
  const says = (who: Guest, type: string, card: string, address: string, ...name: readonly string[]) =>
    fabric.inNamespace(
      fabric.guestNamespace(who),
      process.execPath,
      dhcpMessage,
      type,
      card,
      address,
      namingAddress,
      ...name,
    );
  // Were it heard, nobody would be given that address for ten minutes.
  await says(task, declined, macOfGuest(machine), addressOfGuest(machine));
  await says(task, requested, macOfGuest(task), addressOfGuest(task), far.name);
  await says(task, requested, macOfGuest(task), addressOfGuest(task), "made-up");
  const client = ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "1", "-s", "/bin/true"];
  const asked = await fabric.inGuest(machine, "busybox", ...client);
  assert.match(
    `${asked.stdout}${asked.stderr}`,
    new RegExp(`lease of ${addressOfGuest(machine)} obtained from`),
  );
  assert.equal(await asks(machine, far.name), addressOfGuest(far));
  assert.equal(await asks(machine, "made-up"), undefined);
  assert.equal(await asks(machine, task.name), addressOfGuest(task));
});

test("killed, it is served again; and a restarted manager takes over what runs, telling it what is new", async () => {
  const group = segmentGroup(1);
  const [first] = pidsOf(1, group);
  process.kill(first!, "SIGKILL");
  await until("another one", () => pidsOf(1, group).some((pid) => pid !== first));
  await isServed(task);

  const [second] = pidsOf(1, group);
  await fabric.hosts[0]!.killDriver();
  await fabric.hosts[0]!.startDriver();
  await converge([...all, late]);
  assert.deepEqual(pidsOf(1, group), [second]);
  await until("the new name", async () => (await asks(task, late.name)) === addressOfGuest(late));
  assert.deepEqual(pidsOf(1, group), [second], "read again, not started again");
  await converge(all);
  await until("its end", async () => (await asks(task, late.name)) === undefined);
});

test("a manager killed at any moment of a change leaves nothing double", async () => {
  for (let round = 0; round < 10; round += 1) {
    const [host] = fabric.hosts;
    const change = host!.converge(plan(1, round % 2 === 0 ? [stranger] : all)).catch(() => {});
    await clock.sleep(millis(round * 7), signal);
    await host!.killDriver();
    await change;
    await host!.startDriver();
  }
  await converge(all);
  for (const group of groupsOf(1)) await until(`one in ${group}`, () => pidsOf(1, group).length === 1);
  assert.equal(groupsOf(1).length, 3);
  await isServed(task);
});

test("with its segment all of it is gone: process, link, group and files", async () => {
  await converge([]);
  for (const host of [1, 2]) {
    assert.deepEqual(groupsOf(host), []);
    const links = await fabric.hosts[host - 1]!.run("ip", "-br", "link");
    assert.doesNotMatch(links, /^cst/m);
    assert.deepEqual(readdirSync(join(directory, String(host))), []);
  }
});

test("that names cannot be served is told, and keeps members from nothing else", async () => {
  const group = `${parent}/broken`;
  await using broken = await Fabric.make(1, megabitsPerSecond(1000), {
    naming: () => ({ directory: "/dev/null/naming", uid, cgroupParent: group }),
  });
  const [one, other] = [guest(1, 1), guest(2, 1)];
  await broken.addGuests([one, other]);
  const [host] = broken.hosts;
  const wanted = broken.plan(host!, [one, other], { naming: true });
  await until("it is told", async () => {
    const refused = await host!.converge(wanted).then(
      () => "",
      (cause: unknown) => String(cause),
    );
    return /Cannot serve names of shop\/lan: .*\/dev\/null\/naming/.test(refused);
  });
  assert.ok(await broken.reaches(one, other));
});
