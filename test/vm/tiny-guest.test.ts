import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { guestContext } from "#drivers/guest/context/content.ts";
import type { ContextInputs } from "#drivers/guest/context/content.ts";
import { contextDisk } from "#drivers/guest/context/disk.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import { contextMessage, helloMessage } from "#drivers/guest/context/port-protocol.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { GuestMachine, guestCache, subprocess } from "./guest-machine.ts";
import { front, vmPlan } from "./plans.ts";

const random = systemRandom();
const mac = "02:00:00:00:00:05";
const first = newIdentity(random);
let guest: BuiltGuest;
let machine: GuestMachine;

function inputs(change: Partial<ContextInputs>): ContextInputs {
  return {
    plan: vmPlan(guest.image),
    identity: first,
    networks: new Map([[front, { mtu: 1380 }]]),
    hostKeys: [machine.publicKey],
    entropy: random.hex(64),
    ...change,
  };
}

before(async () => {
  guest = await buildTinyGuest(guestCache, () => {}, subprocess, AbortSignal.timeout(300_000));
  machine = new GuestMachine();
  const plan = vmPlan(guest.image, {
    command: ["sh", "-c", 'echo "$GREETING from $(pwd)"; exit 7'],
    env: { GREETING: 'it\'s "here" $HOME' },
    directory: "/opt",
    files: [{ path: "/etc/deep/er/a b'c", content: "first\nlast", mode: 0o640 }],
  });
  const disk = join(machine.directory, "context.iso");
  writeFileSync(disk, contextDisk(guestContext(inputs({ plan }))));
  await machine.start(guest, {
    machine: "q35",
    mac,
    address: "10.9.0.5",
    disks: [{ serial: "cidata", file: disk, format: "raw", readOnly: true }],
  });
});
after(() => machine[Symbol.asyncDispose]());

/** What a guest writes there comes another way than what it tells. */
const onConsole = (words: RegExp): Promise<true> =>
  machine.until(`${words} on its console`, () => (words.test(machine.console) ? true : undefined));

test("a tiny guest takes its identity from its context disk, and runs its command", async () => {
  assert.deepEqual(await machine.told("applied"), { kind: "applied", instance: first.instance });
  assert.deepEqual(await machine.told("exited"), { kind: "exited", code: 7 });
  await onConsole(/it's "here" \$HOME from \/opt/);
});

test("it answers SSH with the host key it was given, under its name and address", async () => {
  const command = "hostname; ip -4 -o addr show eth0; cat /sys/class/net/eth0/mtu; cat /etc/machine-id";
  const [name, address, mtu, machineId] = (await machine.ssh(first.sshHostKey.publicKey, command)).split(
    "\n",
  );
  assert.equal(name, "db");
  assert.match(address ?? "", / 10\.9\.0\.5\/24 /);
  assert.equal(mtu, "1380");
  assert.equal(machineId, first.machineId);
});

test("files are where the plan wants them, with their mode", async () => {
  const path = `/etc/deep/er/a b'c`;
  const command = `stat -c %a "${path}"; cat "${path}"`;
  assert.equal(await machine.ssh(first.sshHostKey.publicKey, command), "640\nfirst\nlast");
});

test("QEMU's guest agent answers", async () => {
  const answer = await machine.agent({ execute: "guest-get-host-name" });
  assert.deepEqual(answer, { return: { "host-name": "db" } });
});

test("once its agent answers, it has the drivers of all that its machine may have", async () => {
  const modules = await machine.ssh(first.sshHostKey.publicKey, "cut -d ' ' -f 1 /proc/modules");
  const wanted = ["virtio_rng", "virtio_balloon", "virtio_mem", "evdev", "pvpanic_pci"];
  assert.deepEqual(
    wanted.filter((one) => !modules.split("\n").includes(one)),
    [],
  );
});

test("through the context port it becomes another one: name, address, keys, clock, random numbers, command", async () => {
  const second = newIdentity(random);
  const plan = vmPlan(guest.image, { command: ["echo", "now I am another"] }, { hostname: "web-2" });
  const clockMs = Date.UTC(2031, 4, 5, 6, 7, 8);
  const moved = {
    ...plan,
    interfaces: plan.interfaces.map((each) => ({ ...each, mac: "02:00:00:00:00:77" as typeof each.mac })),
  };
  machine.say(contextMessage(guestContext(inputs({ plan: moved, identity: second, clockMs }))));
  assert.deepEqual(await machine.told("applied", 2), { kind: "applied", instance: second.instance });
  assert.deepEqual(await machine.told("exited", 2), { kind: "exited", code: 0 });
  await onConsole(/now I am another/);
  const command = "hostname; date -u +%Y-%m-%dT%H; cat /sys/class/net/eth0/address; cat /etc/hosts";
  const told = await machine.ssh(second.sshHostKey.publicKey, command);
  assert.deepEqual(told.split("\n").slice(0, 3), ["web-2", "2031-05-05T06", "02:00:00:00:00:77"]);
  assert.match(told, /10\.9\.0\.5 web-2/);
});

test("told the same instance twice it goes on with the command it has, and tells again when asked", async () => {
  machine.say(helloMessage);
  assert.deepEqual(await machine.told("hello"), { kind: "hello", version: 1 });
  assert.equal((await machine.told("exited", 3)).kind, "exited");
});

test("whoever presses Enter on its console gets a shell", async () => {
  machine.type("\r");
  await onConsole(/web-2:~# /);
  machine.type("echo $((6 * 7)) is told\r");
  await onConsole(/42 is told/);
});

test("asked by its agent it powers off by itself", async () => {
  machine.agent({ execute: "guest-shutdown" }).catch(() => {});
  await machine.ended();
});

test("it begins anew when its processor has no timer, as every wait would be for ever", async () => {
  await using alone = new GuestMachine();
  const words = "pci=off reboot=t nolapic_timer";
  await alone.start(guest, { machine: "microvm", mac, address: "10.9.0.6", disks: [], words });
  await alone.ended();
  assert.match(alone.console, /this guest has no timer and begins anew/);
});
