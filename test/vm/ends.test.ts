import assert from "node:assert/strict";
import { before, test } from "node:test";
import { millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import type { QemuDriver } from "#drivers/appliance/qemu/driver.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { AppliancePlan, VmPlan } from "#protocol/host-plan.ts";
import { signal } from "../task/host.ts";
import { killQemu, machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";

let guest: BuiltGuest;
before(async () => {
  guest = await tinyGuest();
});

/** Its agent answers. */
async function booted(driver: QemuDriver, plan: AppliancePlan): Promise<void> {
  await driver.create(plan, new Map(), signal);
  await driver.start(plan.id, signal);
  await whenSeen(driver, plan.id, ({ vm }) => vm?.agent === "answers");
}

const does = (driver: QemuDriver, plan: AppliancePlan, script: string): Promise<unknown> =>
  driver
    .exec(plan.id, { command: ["sh", "-c", script], env: {}, onOutput: () => {} }, signal)
    .catch((cause: unknown) => cause);

const over = ({ state }: ApplianceObservation): boolean => state === "exited" || state === "failed";
const on = (machine: VmPlan["machine"], change: Partial<AppliancePlan> = {}): AppliancePlan => {
  const plan = machinePlanOf(guest, change);
  return { ...plan, vm: { ...(plan.vm as VmPlan), machine } };
};
const again = { when: "on-failure", backoffMsMin: millis(10), backoffMsMax: millis(20) } as const;
const panics = "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger";

test("a guest that powers off has exited, and is told of as such", async () => {
  await using host = await machineHost(guest);
  const plan = on("q35", { restart: again });
  await booted(host.driver, plan);
  void does(host.driver, plan, "poweroff -f");
  const end = await whenSeen(host.driver, plan.id, over);
  assert.deepEqual([end.state, end.exitCode, end.message], ["exited", 0, "Its guest powered off"]);
});

test("a guest that panics has failed, and is not restarted when nobody wants that: with a panic device", async () => {
  await using host = await machineHost(guest);
  const plan = on("q35");
  await booted(host.driver, plan);
  void does(host.driver, plan, panics);
  const end = await whenSeen(host.driver, plan.id, over);
  assert.equal(end.state, "failed");
  assert.match(end.message ?? "", /guest panicked/);
});

test("a guest that panics has failed, and is not restarted when nobody wants that: by its console", async () => {
  await using host = await machineHost(guest);
  const plan = on("microvm");
  await booted(host.driver, plan);
  void does(host.driver, plan, panics);
  const end = await whenSeen(host.driver, plan.id, over);
  assert.equal(end.state, "failed");
  assert.match(end.message ?? "", /guest panicked: sysrq triggered crash/);
});

test("a machine whose QEMU is killed is started again as its policy says, and what it was is told", async () => {
  await using host = await machineHost(guest);
  const plan = on("microvm", { restart: again });
  await booted(host.driver, plan);
  assert.ok(killQemu(host.driver, plan.id));
  await whenSeen(host.driver, plan.id, ({ restarts }) => restarts === 1);
  const seen = await whenSeen(host.driver, plan.id, ({ state, vm }) => {
    return state === "running" && vm?.agent === "answers";
  });
  assert.equal(seen.restarts, 1);
});
