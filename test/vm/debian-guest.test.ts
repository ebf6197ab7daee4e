import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { mebibytes } from "#base/units.ts";
import { systemGuestBuilder } from "#drivers/guest/builder.ts";
import { guestContext } from "#drivers/guest/context/content.ts";
import type { ContextInputs } from "#drivers/guest/context/content.ts";
import { contextDisk } from "#drivers/guest/context/disk.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import { contextMessage } from "#drivers/guest/context/port-protocol.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { jsonLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { GuestMachine, guestCache, subprocess } from "./guest-machine.ts";
import { front, vmPlan } from "./plans.ts";

const { signal } = new AbortController();
const clock = systemClock();
const random = systemRandom();
const first = newIdentity(random);
const root = mkdtempSync(join(tmpdir(), "consort-test-debian-"));
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
  const spec = { name: "debian", suite: "bookworm", packages: [], diskBytes: 2 * 1024 ** 3 };
  guest = await systemGuestBuilder(guestCache, subprocess).debian(
    spec,
    () => {},
    AbortSignal.timeout(600_000),
  );
  machine = new GuestMachine();
  const layers = spooledLayers({
    directory: join(root, "spool"),
    make: layerMaker(subprocess),
    clock,
    random,
    log: jsonLog({ clock, fd: 2, level: "warn" }),
  });
  await layers.recover(signal);
  const plan = vmPlan(
    guest.image,
    {
      command: ["sh", "-c", 'echo "runs in $(pwd)"; exec sleep 1000'],
      directory: "/srv",
      files: [{ path: "/etc/motto", content: "as declared", mode: 0o600 }],
    },
    { hostname: "db", homeBytes: mebibytes(64) },
  );
  const made = await layers.create(plan.vm, machine.directory, () => {}, signal);
  await layers.close();
  const base = guest.image.disk?.digest;
  const disc = join(machine.directory, "context.iso");
  writeFileSync(disc, contextDisk(guestContext(inputs({ plan }))));
  await machine.start(guest, {
    machine: "q35",
    memory: "512",
    mac: "02:00:00:00:00:05",
    address: "10.9.0.5",
    disks: [
      { serial: "cidata", file: disc, format: "raw", readOnly: true },
      ...made.map(({ kind, file }) => ({
        serial: kind,
        file,
        format: "qcow2" as const,
        ...(kind === "root" && base !== undefined ? { below: guest.files.get(base) ?? "" } : {}),
      })),
    ],
  });
});
after(async () => {
  await machine[Symbol.asyncDispose]();
  rmSync(root, { recursive: true, force: true });
});

test("a Debian guest takes its identity from its context disk, and runs its command", async () => {
  assert.deepEqual(await machine.told("applied"), { kind: "applied", instance: first.instance });
  await machine.until("the command", () => (machine.console.includes("runs in /srv") ? true : undefined));
});

test("it answers SSH with the host key it was given, under its name, its home mounted", async () => {
  const command =
    "hostname; cat /etc/motto; echo; ip -4 -o addr show eth0; grep -c ' /home ext4 ' /proc/mounts; cat /etc/machine-id";
  const told = (await machine.ssh(first.sshHostKey.publicKey, command)).split("\n");
  assert.deepEqual([told[0], told[1], told[3], told[4]], ["db", "as declared", "1", first.machineId]);
  assert.match(told[2] ?? "", / 10\.9\.0\.5\/24 /);
});

test("its guest agent answers", async () => {
  assert.deepEqual(await machine.agent({ execute: "guest-get-host-name" }), {
    return: { "host-name": "db" },
  });
});

test("whoever presses Enter on its console gets a shell, and another one when that has ended", async () => {
  // What is typed before it is listened to is lost: a terminal is emptied when it is opened.
  const listens =
    "until grep -q lib/consort/console /proc/$(systemctl show -P MainPID consort-console)/cmdline; do sleep 1; done";
  for (const answer of [42, 56]) {
    await machine.ssh(first.sshHostKey.publicKey, listens);
    machine.type("\r");
    await machine.until("a prompt", () => (machine.console.endsWith("root@db:~# ") ? true : undefined));
    machine.type(`echo $((${answer / 7} * 7)) is told; exit\r`);
    const told = `${answer} is told`;
    await machine.until(told, () => (machine.console.includes(told) ? true : undefined));
  }
});

test("through the context port it becomes another one", async () => {
  const second = newIdentity(random);
  const plan = vmPlan(guest.image, {}, { hostname: "web-2" });
  machine.say(contextMessage(guestContext(inputs({ plan, identity: second, clockMs: clock.now() }))));
  assert.deepEqual(await machine.told("applied", 2), { kind: "applied", instance: second.instance });
  assert.equal(await machine.ssh(second.sshHostKey.publicKey, "hostname"), "web-2\n");
});

test("asked by its agent it powers off by itself", async () => {
  machine.agent({ execute: "guest-shutdown" }).catch(() => {});
  await machine.ended();
});
