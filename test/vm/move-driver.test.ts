import assert from "node:assert/strict";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";
import { signal } from "../task/host.ts";
import { killQemu, tinyGuest } from "./machine-host.ts";
import type { MachineHost } from "./machine-host.ts";
import { begin, moveOver, movingHost, planWithHome, run, until } from "./moving-host.ts";

function startedAtOf({ vm }: AppliancePlan): number {
  const begun = vm?.move?.side === "arriving" ? vm.move.startedAt : undefined;
  assert.ok(begun !== undefined);
  return begun;
}

/** A machine with a disk that has just begun to run on `b`; resolves with what `b` was told of its move. */
async function moved(a: MachineHost, b: MachineHost, plan: AppliancePlan): Promise<AppliancePlan> {
  await begin(a, plan);
  await run(a, plan, "echo remembered > /tmp/here; echo kept > /home/here; sync");
  const there = await moveOver(a, b, plan, "one");
  assert.notEqual(a.driver.observe()[0]?.state, "running");
  assert.equal(b.driver.observe()[0]?.startedAt, startedAtOf(there), "it is as old as it was");
  return there;
}

test("a machine moves from one driver to another with its memory and its disk, and the first one is left clean", async () => {
  const guest = await tinyGuest();
  await using a = await movingHost(guest);
  await using b = await movingHost(guest);
  const plan = planWithHome(guest);
  const there = await moved(a, b, plan);
  assert.equal((await until(b, there, ["local", "failed"])).phase, "local");
  await a.driver.destroy(plan.id, signal);
  await whenSeen(b.driver, plan.id, ({ vm }) => vm?.agent === "answers");
  assert.equal(await run(b, plan, "cat /tmp/here /home/here"), "remembered\nkept");
});

test("a machine that crashes while its disk is still coming boots from where all of that is, and then brings it here", async () => {
  const guest = await tinyGuest();
  await using a = await movingHost(guest);
  // Too slow to be done before the crash, however slow this machine is.
  const pace = { copyBytesPerSecond: 1024 };
  await using b = await movingHost(guest, pace);
  const restart = { when: "always", backoffMsMin: millis(10), backoffMsMax: millis(20) } as const;
  const plan = { ...planWithHome(guest), restart };
  const there = await moved(a, b, plan);
  await whenSeen(b.driver, plan.id, ({ vm }) => vm?.agent === "answers");
  assert.equal(b.driver.observe()[0]?.vm?.move?.phase, "running-remote-disks");
  pace.copyBytesPerSecond = 0;
  assert.ok(killQemu(b.driver, plan.id));
  await whenSeen(
    b.driver,
    plan.id,
    ({ state, restarts, vm }) => state === "running" && restarts > 0 && vm?.agent === "answers",
  );
  assert.ok((b.driver.observe()[0]?.startedAt ?? 0) > startedAtOf(there), "it was begun anew");
  assert.equal(await run(b, plan, "cat /home/here; echo more > /home/there; sync"), "kept");
  assert.equal((await until(b, there, ["local", "failed"])).phase, "local");
  await a.driver.destroy(plan.id, signal);
  assert.ok(killQemu(b.driver, plan.id));
  await whenSeen(
    b.driver,
    plan.id,
    ({ state, restarts, vm }) => state === "running" && restarts > 1 && vm?.agent === "answers",
  );
  assert.equal(await run(b, plan, "cat /home/here /home/there"), "kept\nmore");
});
