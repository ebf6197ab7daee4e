import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { continueHere } from "#drivers/appliance/qemu/move/receive.ts";
import { runState } from "#drivers/appliance/qemu/move/migration-status.ts";
import { MovingRig } from "./moving.ts";
import type { Side } from "./moving.ts";

/** A guest that runs on side a, and what serves its disks. */
export async function begun(withDisk = true): Promise<MovingRig & AsyncDisposable> {
  const rig = new MovingRig(withDisk);
  await rig.open();
  await continueHere((await rig.start("a", { incoming: false, remote: false })).qmp, rig.signal);
  await rig.untilUp();
  return Object.assign(rig, { [Symbol.asyncDispose]: () => rig.close() });
}

/** Both sides as they are before anything is sent. */
export async function prepared(rig: MovingRig, move: string): Promise<ReturnType<MovingRig["plans"]>> {
  const { leaving, arriving } = rig.plans(move);
  const serving = await rig.until("a", leaving, ["serving"]);
  assert.ok(serving.port !== undefined && serving.port > 0);
  const there = { ...arriving, disksPort: serving.port };
  const start = await rig.moves.b.beforeStart(rig.place("b"), there, true, rig.signal);
  assert.deepEqual(start, { incoming: true, remote: true });
  await rig.start("b", start);
  const listening = await rig.until("b", there, ["listening"]);
  assert.ok(listening.port !== undefined && listening.port > 0);
  return { leaving: { ...leaving, statePort: listening.port }, arriving: there };
}

/** Whether its processors run, as QEMU says. */
export async function isRunning(rig: MovingRig, side: Side): Promise<boolean> {
  return (await runState(rig.vm(side).qmp, rig.signal)) === "running";
}

/** The relays of one side, as its record has them. */
export function relays(
  rig: MovingRig,
  side: Side,
): { stateRelay?: { pid: number }; disksRelay?: { pid: number } } {
  const file = join(rig.directory, `${side}-moves`, `${encodeURIComponent(rig.place(side).id)}.json`);
  return JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof relays>;
}
