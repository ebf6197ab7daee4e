import assert from "node:assert/strict";
import { chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { before, test } from "node:test";
import { codeOf } from "#base/errors.ts";
import { applianceId, applianceName, ensembleName, ipv4Address, macAddress } from "#base/ids.ts";
import type { ApplianceId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import type { QemuDriver, QemuDriverOptions } from "#drivers/appliance/qemu/driver.ts";
import type { Starter } from "#drivers/appliance/qemu/starter.ts";
import { WarmPool } from "#drivers/appliance/qemu/warm/pool.ts";
import { WarmStarter } from "#drivers/appliance/qemu/warm/starter.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { silentLog } from "#drivers/system/log.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { clock, signal } from "../task/host.ts";
import { subprocess } from "./guest-machine.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";
import type { MachineHost } from "./machine-host.ts";
import { front } from "./plans.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

/** A machine with one interface that insists on being resumed. */
function warmPlan(name: string, member: number, way: "warm" | "auto" = "warm"): AppliancePlan {
  const plan = machinePlanOf(guest);
  return {
    ...plan,
    id: applianceId(ensembleName("shop"), applianceName(name)),
    interfaces: [
      {
        name: "eth0",
        network: front,
        mac: macAddress(`02:00:00:00:00:0${member}`),
        address: ipv4Address(`10.9.0.${member}`),
        prefixLength: 24,
      },
    ],
    vm: { ...plan.vm!, hostname: name, start: way },
  };
}

type WarmHost = AsyncDisposable & {
  readonly host: MachineHost;
  /** What the pool keeps. */
  files(): readonly string[];
  /** Resolves when it keeps a snapshot. */
  kept(): Promise<void>;
  /** Driver and pool as after a restart of their manager. */
  reopen(): Promise<void>;
};

async function warmHost(change: Partial<QemuDriverOptions> = {}): Promise<WarmHost> {
  // On the file system that machines' directories are on.
  const stateDir = mkdtempSync("/var/lib/consort-test-warm-");
  const parts = { stateDir, clock, random: systemRandom(), subprocess, log: silentLog };
  let pool = new WarmPool(parts);
  const starter: Starter = {
    begin: (machine) => new WarmStarter({ pool, qemuVersion: "this one", clock }).begin(machine),
  };
  const host = await machineHost(guest, { starters: [starter], ...change });
  const files = (): readonly string[] => readdirSync(join(stateDir, "warm"));
  return {
    host,
    files,
    async kept() {
      while (!files().some((name) => !name.endsWith(".making"))) await clock.sleep(millis(100), signal);
    },
    async reopen() {
      await pool.close();
      await host.reopen();
      pool = new WarmPool(parts);
    },
    async [Symbol.asyncDispose]() {
      await pool.close();
      // Finds what the pool could not take away any more.
      await host.reopen();
      await host[Symbol.asyncDispose]();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

/** Creates it with a link that leads nowhere. */
async function create(driver: QemuDriver, plan: AppliancePlan): Promise<void> {
  await driver.create(plan, new Map(), signal);
  const netns = basename(driver.observe().find(({ id }) => id === plan.id)!.netns);
  await subprocess.check(
    "ip",
    ["-n", netns, "link", "add", "eth0", "type", "veth", "peer", "name", "far0"],
    signal,
  );
}

/** As a host manager does: again until it runs. */
async function start(driver: QemuDriver, id: ApplianceId): Promise<void> {
  for (;;) {
    try {
      await driver.start(id, signal);
      if (driver.observe().some((one) => one.id === id && one.state === "running")) return;
    } catch (cause) {
      if (codeOf(cause) !== "unavailable") throw cause;
    }
    await clock.sleep(millis(100), signal);
  }
}

async function inGuest(driver: QemuDriver, id: ApplianceId, script: string): Promise<string> {
  let output = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void => {
    output += Buffer.from(chunk).toString();
  };
  await driver.exec(id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
  return output;
}

test("a machine is resumed from a guest that booted before it was wanted, and is nobody but itself", async () => {
  await using warm = await warmHost();
  const { driver } = warm.host;
  const plans = [warmPlan("web", 5), warmPlan("db", 6)];
  for (const plan of plans) {
    await create(driver, plan);
    await start(driver, plan.id);
  }
  assert.deepEqual(
    driver.observe().map(({ vm }) => [vm?.start, vm?.stages.map(({ stage }) => stage)]),
    plans.map(() => ["warm", ["slot made", "QEMU started", "guest resumed", "identity taken on"]]),
  );
  const [web = [], db = []] = await Promise.all(
    plans.map(async ({ id }) => (await inGuest(driver, id, whoAmI)).trim().split("\n")),
  );
  assert.deepEqual(web.slice(0, 3), ["web", "02:00:00:00:00:05", "inet 10.9.0.5"]);
  assert.deepEqual(db.slice(0, 3), ["db", "02:00:00:00:00:06", "inet 10.9.0.6"]);
  // Machine id, SSH host key and random numbers.
  for (const at of [3, 4, 5]) assert.notEqual(web[at], db[at]);
  assert.deepEqual(driver.observe().length, plans.length, "the guest they come from is not shown");
});

test("where it is not insisted upon, the first two boot, and there is a snapshot for the third", async () => {
  await using warm = await warmHost();
  const { driver } = warm.host;
  for (const [index, name] of ["web", "db", "log"].entries()) {
    if (name === "log") await warm.kept();
    const plan = warmPlan(name, index + 1, "auto");
    await create(driver, plan);
    await start(driver, plan.id);
  }
  const started = new Map(driver.observe().map(({ id, vm }) => [String(id), vm?.start]));
  const expected = { "shop/web": "cold", "shop/db": "cold", "shop/log": "warm" };
  assert.deepEqual(Object.fromEntries(started), expected);
});

test("a pool cut off while a guest boots for it leaves nothing half made, and the next one begins again", async () => {
  await using warm = await warmHost();
  const plan = warmPlan("web", 5);
  await create(warm.host.driver, plan);
  await assert.rejects(warm.host.driver.start(plan.id, signal), { code: "unavailable" });
  await warm.reopen();
  assert.deepEqual(warm.files(), []);
  const { driver } = warm.host;
  await start(driver, plan.id);
  assert.equal(driver.observe()[0]?.vm?.start, "warm");
});

test("what cannot be resumed is told so, and boots where it may", async () => {
  await using warm = await warmHost({
    storage: {
      prepare: ({ directory, uid }) => {
        const file = join(directory, "home");
        writeFileSync(file, Buffer.alloc(1024 * 1024));
        chownSync(file, uid, uid);
        return Promise.resolve([{ name: "home", readOnly: false, layers: [{ file, format: "raw" }] }]);
      },
      remove: () => Promise.resolve(),
    },
  });
  const { driver } = warm.host;
  const plan = warmPlan("web", 5);
  await create(driver, plan);
  await assert.rejects(driver.start(plan.id, signal), {
    code: "unsatisfiable",
    message: "Cannot start shop/web warm: it has disks (home)",
  });
});

const whoAmI = [
  "cat /proc/sys/kernel/hostname /sys/class/net/eth0/address",
  "ip -4 -o addr show eth0 | grep -o 'inet [0-9.]*'",
  "cat /etc/machine-id",
  "md5sum /etc/dropbear/dropbear_ed25519_host_key",
  "head -c 16 /dev/urandom | od -An -tx1",
].join("; ");
