import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostId, ipv4Address } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { whenSeen } from "#drivers/appliance/conformance.ts";
import { VmMoves } from "#drivers/appliance/qemu/move/moves.ts";
import { moveStarter } from "#drivers/appliance/qemu/move/starter.ts";
import { machineStorage } from "#drivers/image/layers/machine-storage.ts";
import { layerMaker } from "#drivers/image/layers/make.ts";
import { spooledLayers } from "#drivers/image/layers/spooled-layers.ts";
import { systemProcesses } from "#drivers/process/system-processes.ts";
import { machineLayout } from "#drivers/system/cgroups/group.ts";
import { systemRandom } from "#drivers/system/random.ts";
import type { AppliancePlan, MovePlan } from "#protocol/host-plan.ts";
import type { MoveReport } from "#protocol/host-report.ts";
import { clock, hostOptions, signal } from "../task/host.ts";
import { subprocess } from "./guest-machine.ts";
import { killQemu, machineHost, machinePlanOf, tinyGuest } from "./machine-host.ts";
import type { MachineHost } from "./machine-host.ts";

const loopback = ipv4Address("127.0.0.1");

/** How fast disks come to a host; 0: as fast as they can. It counts from the next copy on. */
type Pace = { copyBytesPerSecond: number };

/** A host whose machines move. */
async function movingHost(
  guest: Awaited<ReturnType<typeof tinyGuest>>,
  pace: Pace = { copyBytesPerSecond: 0 },
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

/** As a host manager's passes do, until its report says so. */
async function until(
  host: MachineHost,
  plan: AppliancePlan,
  phases: readonly MoveReport["phase"][],
): Promise<MoveReport> {
  for (;;) {
    await host.driver.move(plan, signal);
    const report = host.driver.observe()[0]?.vm?.move;
    if (report !== undefined && phases.includes(report.phase)) return report;
    await clock.sleep(10 as never, signal);
  }
}

async function run(host: MachineHost, plan: AppliancePlan, script: string): Promise<string> {
  let output = "";
  const onOutput = (_stream: string, chunk: Uint8Array): void =>
    void (output += Buffer.from(chunk).toString());
  await host.driver.exec(plan.id, { command: ["sh", "-c", script], env: {}, onOutput }, signal);
  return output.trim();
}

/** A machine with a disk that has just begun to run on `b`; resolves with what `b` was told of its move. */
async function moved(a: MachineHost, b: MachineHost, plan: AppliancePlan): Promise<AppliancePlan> {
  const withMove = (move: MovePlan): AppliancePlan => ({ ...plan, vm: { ...plan.vm!, move } });
  await a.driver.create(plan, new Map(), signal);
  await a.driver.start(plan.id, signal);
  await whenSeen(a.driver, plan.id, ({ vm }) => vm?.agent === "answers");
  await run(a, plan, "echo remembered > /tmp/here; echo kept > /home/here; sync");

  const [move, token] = ["one", "secret"];
  const leaving = { side: "leaving", move, token, to: hostId("b"), toAddress: loopback } as const;
  const arriving = { side: "arriving", move, token, from: hostId("a"), fromAddress: loopback } as const;
  const { port: disksPort = 0 } = await until(a, withMove(leaving), ["serving"]);
  const there = withMove({ ...arriving, disksPort });
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
  assert.notEqual(a.driver.observe()[0]?.state, "running");
  return there;
}

function planWithHome(guest: Awaited<ReturnType<typeof tinyGuest>>): AppliancePlan {
  const plan = machinePlanOf(guest);
  return { ...plan, vm: { ...plan.vm!, homeBytes: mebibytes(64) } };
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
