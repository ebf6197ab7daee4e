import assert from "node:assert/strict";
import { basename } from "node:path";
import { before, test } from "node:test";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import { millis } from "#base/units.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { clock, signal } from "../task/host.ts";
import { subprocess } from "./guest-machine.ts";
import { machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";
import { vmPlan } from "./plans.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

/** A namespace beside the machine's, joined to its eth0 as a segment would be. */
async function neighbour(
  netns: string,
  address: string,
): Promise<AsyncDisposable & { readonly name: string }> {
  const name = `consort-test-cable-${process.pid}`;
  const slot = basename(netns);
  const ip = (...args: string[]): Promise<string> => subprocess.check("ip", args, signal);
  await ip("netns", "add", name);
  await ip("-n", slot, "link", "add", "eth0", "type", "veth", "peer", "name", "seg0", "netns", name);
  await ip("-n", slot, "link", "set", "eth0", "up");
  await ip("-n", name, "addr", "add", address, "dev", "seg0");
  await ip("-n", name, "link", "set", "seg0", "up");
  return {
    name,
    async [Symbol.asyncDispose]() {
      await ip("netns", "del", name);
    },
  };
}

const answers = async (from: string, address: string, seconds: number): Promise<boolean> => {
  const wait = ["-c", "1", "-W", "1", address];
  for (let asked = 0; asked < seconds; asked += 1) {
    const { code } = await subprocess.run("ip", ["netns", "exec", from, "ping", ...wait], signal);
    if (code === 0) return true;
  }
  return false;
};

test("a guest is reached by its neighbours under its own address, and by its host manager, which they do not reach", async () => {
  await using host = await machineHost(guest);
  const { interfaces } = vmPlan(guest.image);
  const plan = machinePlanOf(guest, { interfaces });
  await host.driver.create(plan, new Map(), signal);
  const [created] = host.driver.observe();
  assert.ok(created !== undefined);
  await using beside = await neighbour(created.netns, "10.9.0.6/24");
  await host.driver.start(plan.id, signal);
  await whenSeen(host.driver, plan.id, ({ vm }) => vm?.agent === "answers");
  assert.ok(await answers(beside.name, "10.9.0.5", 20), "its neighbour");
  assert.ok(await answers(basename(created.netns), "10.9.0.5", 5), "its host manager");
  await subprocess.check("ip", ["-n", beside.name, "addr", "add", "169.254.0.9/16", "dev", "seg0"], signal);
  assert.equal(await answers(beside.name, "169.254.0.1", 1), false);
});

test("a guest is reached by its host manager also after its host's lease was over for a while", async () => {
  await using host = await machineHost(guest);
  const { driver } = host;
  const { interfaces } = vmPlan(guest.image);
  const plan = machinePlanOf(guest, { interfaces });
  await driver.create(plan, new Map(), signal);
  const [created] = driver.observe();
  assert.ok(created !== undefined);
  await using _beside = await neighbour(created.netns, "10.9.0.6/24");
  await driver.start(plan.id, signal);
  await whenSeen(driver, plan.id, ({ vm }) => vm?.agent === "answers");
  await driver.adapt(new Map([[plan.id, { leased: true }]]), signal);
  await whenSeen(driver, plan.id, ({ state }) => state === "fenced");
  driver.renewLease(millis(clock.monotonic() + 60_000));
  await whenSeen(driver, plan.id, ({ state }) => state === "running");
  assert.ok(await answers(basename(created.netns), "10.9.0.5", 20), "its host manager");
});
