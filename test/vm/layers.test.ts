import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { mebibytes } from "#base/units.ts";
import { guestContext } from "#drivers/guest/context/content.ts";
import { contextDisk } from "#drivers/guest/context/disk.ts";
import { newIdentity } from "#drivers/guest/context/identity.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import type { LayerStage } from "#drivers/image/layers/port.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { jsonLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { GuestMachine, guestCache, subprocess } from "./guest-machine.ts";
import { front, vmPlan } from "./plans.ts";

const { signal } = new AbortController();
const clock = systemClock();
const random = systemRandom();
const root = mkdtempSync(join(tmpdir(), "consort-test-layers-"));
after(() => rmSync(root, { recursive: true, force: true }));

test("home, swap and software are there in a guest, and a second machine's layers were ready", async () => {
  const guest = await buildTinyGuest(guestCache, () => {}, subprocess, AbortSignal.timeout(300_000));
  const layers = spooledLayers({
    directory: join(root, "spool"),
    make: layerMaker(subprocess),
    clock,
    random,
    log: jsonLog({ clock, fd: 2, level: "warn" }),
  });
  await using closing = new AsyncDisposableStack();
  closing.defer(() => layers.close());
  await layers.recover(signal);
  const software = join(root, "tools.squashfs");
  mkdirSync(join(root, "tools"));
  writeFileSync(join(root, "tools/hello"), "of the software image\n");
  await subprocess.check("mksquashfs", [join(root, "tools"), software, "-quiet", "-no-progress"], signal);

  await using machine = new GuestMachine();
  const identity = newIdentity(random);
  const tools = { ...guest.image, name: "tools", role: "software" as const };
  const plan = vmPlan(
    guest.image,
    {},
    { hostname: "db", software: [tools], homeBytes: mebibytes(64), swapBytes: mebibytes(16) },
  );
  const made = await layers.create(plan.vm, machine.directory, () => {}, signal);
  const inputs = {
    plan,
    identity,
    networks: new Map([[front, { mtu: 1400 }]]),
    hostKeys: [machine.publicKey],
    entropy: random.hex(64),
  };
  const disc = join(machine.directory, "context.iso");
  writeFileSync(disc, contextDisk(guestContext(inputs)));
  await machine.start(guest, {
    machine: "microvm",
    mac: "02:00:00:00:00:05",
    address: "10.9.0.5",
    disks: [
      { serial: "cidata", file: disc, format: "raw", readOnly: true },
      { serial: "software0", file: software, format: "raw", readOnly: true },
      ...made.map(({ kind, file }) => ({ serial: kind, file, format: "qcow2" as const })),
    ],
  });
  assert.deepEqual(await machine.told("applied"), { kind: "applied", instance: identity.instance });
  const told = await machine.ssh(
    identity.sshHostKey.publicKey,
    "cat /opt/tools/hello; echo kept >/home/x && cat /home/x; touch /opt/tools/y || true; grep -c . /proc/swaps; grep /home /proc/mounts",
  );
  assert.match(told, /^of the software image\nkept\n2\n\/dev\/vd\w \/home ext4 rw/);

  await layers.settled(signal);
  const stages: LayerStage[] = [];
  mkdirSync(join(root, "second"));
  await layers.create(plan.vm, join(root, "second"), (stage) => stages.push(stage), signal);
  assert.deepEqual(
    stages.map(({ kind, from }) => [kind, from]),
    [
      ["home", "spool"],
      ["swap", "spool"],
    ],
  );
});
