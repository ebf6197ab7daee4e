import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "#base/errors.ts";
import { hostId, ipv4Address } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import type { QemuDriverOptions } from "#drivers/appliance/qemu/driver.ts";
import { VmMoves } from "#drivers/appliance/qemu/move/moves.ts";
import { moveStarter } from "#drivers/appliance/qemu/move/starter.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import type { AppliancePlan, MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import { clock, hostOptions, signal } from "../task/host.ts";
import { subprocess } from "./guest-machine.ts";
import { machineHost, machinePlanOf } from "./machine-host.ts";
import type { MachineHost } from "./machine-host.ts";

export const loopback = ipv4Address("127.0.0.1");

/** How fast disks come to a host; 0: as fast as they can. It counts from the next copy on. */
export type Pace = { copyBytesPerSecond: number };

/** A host whose machines move. */
export async function movingHost(
  guest: BuiltGuest,
  pace: Pace = { copyBytesPerSecond: 0 },
  change: Pick<QemuDriverOptions, "room"> = {},
): Promise<MachineHost> {
  const { stateDir, log } = hostOptions();
  const make = layerMaker(subprocess);
  const layers = spooledLayers({
    directory: join(stateDir, "spool"),
    make,
    clock,
    random: systemRandom(),
    log,
  });
  await layers.recover(signal);
  const blobs = { has: () => true, path: (digest: string) => guest.files.get(digest as never) ?? digest };
  const moves = new VmMoves({
    address: loopback,
    directory: join(stateDir, "moves"),
    processes: systemProcesses(machineLayout()),
    clock,
    log,
    get copyBytesPerSecond() {
      return pace.copyBytesPerSecond;
    },
  });
  moves.recover();
  const host = await machineHost(guest, {
    mover: moves,
    starters: [moveStarter(moves)],
    storage: machineStorage({ layers, blobs }),
    ...change,
  });
  const dispose = host[Symbol.asyncDispose].bind(host);
  host[Symbol.asyncDispose] = async () => {
    await dispose();
    await moves.close();
    await layers.close();
    rmSync(stateDir, { recursive: true });
  };
  return host;
}

/** One that takes its time goes on by itself. */
export async function step({ driver }: MachineHost, plan: AppliancePlan): Promise<void> {
  try {
    await driver.move(plan, signal);
  } catch (cause) {
    if (codeOf(cause) !== "unavailable") throw cause;
  }
}

/** As a host manager's passes do, until its report says so. */
export async function until(
  host: MachineHost,
  plan: AppliancePlan,
  phases: readonly MoveReport["phase"][],
): Promise<MoveReport> {
  for (;;) {
    await step(host, plan);
    const report = host.driver.observe()[0]?.vm?.move;
    if (report !== undefined && phases.includes(report.phase)) return report;
    assert.notEqual(report?.phase, "failed", report?.message);
    await clock.sleep(millis(10), signal);
  }
}

export async function run(host: MachineHost, plan: AppliancePlan, script: string): Promise<string> {
  let output = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void =>
    void (output += Buffer.from(chunk).toString());
  await host.driver.exec(plan.id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
  return output.trim();
}

export function planWithHome(guest: BuiltGuest): AppliancePlan {
  const plan = machinePlanOf(guest);
  return { ...plan, vm: { ...plan.vm!, homeBytes: mebibytes(64) } };
}

/** Its guest answers when this resolves. */
export async function begin(host: MachineHost, plan: AppliancePlan): Promise<void> {
  await host.driver.create(plan, new Map(), signal);
  await host.driver.start(plan.id, signal);
  await whenSeen(host.driver, plan.id, ({ vm }) => vm?.agent === "answers");
}

/** It runs on `b` when this resolves, with what `b` was told of its move; its disks may still be coming. */
export async function moveOver(
  a: MachineHost,
  b: MachineHost,
  plan: AppliancePlan,
  move: string,
): Promise<AppliancePlan> {
  const withMove = (its: MovePlan): AppliancePlan => ({ ...plan, vm: { ...plan.vm!, move: its } });
  const token = `token of ${move}`;
  const leaving = { side: "leaving", move, token, to: hostId("b"), toAddress: loopback } as const;
  const arriving = { side: "arriving", move, token, from: hostId("a"), fromAddress: loopback } as const;
  const { port: disksPort = 0 } = await until(a, withMove(leaving), ["serving"]);
  const startedAt = a.driver.observe().find(({ id }) => id === plan.id)?.startedAt;
  assert.ok(startedAt !== undefined);
  const there = withMove({ ...arriving, disksPort, startedAt });
  await b.driver.create(there, new Map(), signal);
  await b.driver.start(plan.id, signal);
  const { port: statePort = 0 } = await until(b, there, ["listening"]);
  a.driver.onSent((id, sent) => assert.ok(b.driver.giveWord(id, sent)));
  const [left] = await Promise.all([
    until(a, withMove({ ...leaving, statePort }), ["sent", "failed"]),
    until(b, there, ["running-remote-disks", "local", "failed"]),
  ]);
  assert.equal(left.phase, "sent", left.message);
  await whenSeen(b.driver, plan.id, ({ state }) => state === "running");
  return there;
}
