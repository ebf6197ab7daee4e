import assert from "node:assert/strict";
import { test } from "node:test";
import { millis } from "#base/units.ts";
import type { ApplianceObservation } from "#drivers/appliance/port.ts";
import { clock } from "../task/host.ts";
import { killQemu, tinyGuest } from "./machine-host.ts";
import { begin, planWithHome, run } from "./moving-host.ts";
import { restoringHost } from "./restoring-host.ts";

const signal = AbortSignal.timeout(300_000);

test("a machine that is suspended to disk does not go on because its QEMU ended and began again, until it is released", async () => {
  const guest = await tinyGuest();
  await using a = await restoringHost(guest, "a");
  const restart = { when: "always", backoffMsMin: millis(10), backoffMsMax: millis(20) } as const;
  const plan = { ...planWithHome(guest), restart };
  const { id, generation } = plan;
  const until = async (isSeen: (seen: ApplianceObservation | undefined) => boolean): Promise<void> => {
    while (!isSeen(a.driver.observe().find((one) => one.id === id))) await clock.sleep(millis(20), signal);
  };
  await begin(a, plan);
  assert.equal(await run(a, plan, "echo here"), "here");
  const policy = { copies: 0, keep: 1 };
  await a.checkpoints.take({ appliance: id, id: "c1", generation, policy, stays: true }, signal);
  assert.deepEqual([...a.checkpoints.standing()], [[id, "c1"]]);

  assert.ok(killQemu(a.driver, id));
  await until((seen) => (seen?.restarts ?? 0) > 0 && a.driver.running(id) !== undefined);
  // The next manager has brought it up, as far as it comes, when it has recovered.
  await a.reopen();
  const status = await a.driver.running(id)?.qmp.execute("query-status", {}, signal);
  assert.equal((status as { status?: string } | undefined)?.status, "prelaunch");
  await until((seen) => seen?.state === "starting");

  a.checkpoints.release(id, signal);
  await until((seen) => seen?.state === "running" && seen.vm?.agent === "answers");
  assert.equal(await run(a, plan, "echo again"), "again");
  while (a.checkpoints.standing().size > 0) await clock.sleep(millis(20), signal);
});
