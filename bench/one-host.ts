import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { limits } from "#base/limits.ts";
import { millis } from "#base/units.ts";
import { openLocalBus } from "#drivers/messaging/local-server.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
import { removeAbandonedTables } from "#drivers/scheduling/table/file.ts";
import { systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { silentLog } from "#drivers/system/log.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { defaultLabTopology } from "#formats/topology.ts";
import type { HostConfig } from "#lab/config.ts";
import { labDown, labUp } from "#lab/lab.ts";
import { layOut } from "#lab/layout.ts";
import { preparePrograms } from "#lab/programs.ts";
import type { Prepared } from "#lab/programs.ts";
import type { Heartbeat, HostReport } from "#protocol/host-report.ts";
import { clusterAddress, topics } from "#protocol/topics.ts";
import type { ReportReceipt } from "#protocol/topics.ts";

const clock = systemClock();
const machine = {
  clock,
  random: systemRandom(),
  log: silentLog,
  subprocess: systemSubprocess(),
  cgroups: systemCgroups(clock),
  removeAbandonedTables,
};
const sourceRoot = join(import.meta.dirname, "../src");

/** `root` is a directory of the caller's; all the rest is gone when `undo` is disposed of. */
export async function oneHost(
  name: string,
  root: string,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<OneHost> {
  const place = { name, stateRoot: join(root, "state"), runRoot: join(root, "run") };
  const cleanUp = new AbortController().signal;
  await labDown({ ...place, machine }, cleanUp);
  undo.defer(() => labDown({ ...place, machine }, cleanUp));
  const topology = defaultLabTopology(1, 1);
  await labUp({ ...place, machine, topology, managers: false }, signal);
  const where = { nodePath: process.execPath, sourceRoot, apiAddress: "127.0.0.1", apiPort: 0 };
  const prepared = preparePrograms({ ...place, ...where, topology, managers: true }, layOut(topology));
  const hostProgram = prepared.find(({ program }) => program.name === "host-a1");
  if (hostProgram === undefined) throw new Error("the lab has no host a1");
  return startHost(hostProgram, undo, signal);
}

/** A host manager whose cluster manager we are, with a host of its own in a lab. */
export type OneHost = {
  readonly pid: number;
  readonly config: HostConfig;
  readonly bus: Messaging;
  /** The next report for which it holds. */
  until(holds: (report: HostReport) => boolean, signal: AbortSignal): Promise<HostReport>;
};

async function startHost(
  { program, config, configFile }: Prepared,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<OneHost> {
  if (!("cgroupParent" in config)) throw new Error("not a host's configuration");
  for (const directory of [config.stateDir, config.runDir, dirname(configFile)])
    mkdirSync(directory, { recursive: true });
  writeFileSync(configFile, JSON.stringify(config));
  const bus = await openLocalBus({ path: config.bus, address: clusterAddress, clock, log: silentLog });
  undo.defer(() => bus.close());
  const listeners = new Set<(report: HostReport) => void>();
  let marks = 0;
  let newest: HostReport | undefined;
  // As a cluster manager does it: what was told once goes on while heartbeats with its mark come.
  const hear = (report: HostReport): ReportReceipt => {
    newest = report;
    for (const listener of listeners) listener(report);
    const { epoch } = report;
    const mark = { epoch, number: marks };
    return { epoch, leaseMs: limits.leaseMs, heartbeatMs: limits.heartbeatMs, mark };
  };
  bus.answer(topics.report, async ({ body }) => {
    marks += 1;
    return hear(body as HostReport);
  });
  bus.answer(topics.heartbeat, async ({ body }) => {
    if (newest !== undefined && (body as Heartbeat).mark.number === marks) return hear(newest);
    return { epoch: newest?.epoch ?? 0, leaseMs: millis(0), heartbeatMs: limits.heartbeatMs };
  });
  const child: ChildProcess = spawn(program.file, program.args, { stdio: "ignore" });
  undo.defer(async () => {
    const exit = once(child, "exit");
    if (child.kill("SIGTERM")) await exit;
  });
  const until: OneHost["until"] = (holds, stop) =>
    new Promise((resolve, reject) => {
      const end = (): void => {
        listeners.delete(listener);
        stop.removeEventListener("abort", abort);
      };
      const listener = (report: HostReport): void => {
        if (!holds(report)) return;
        end();
        resolve(report);
      };
      const abort = (): void => {
        end();
        reject(stop.reason);
      };
      listeners.add(listener);
      stop.addEventListener("abort", abort);
    });
  await until(() => true, signal);
  if (child.pid === undefined) throw new Error("the host manager does not start");
  return { pid: child.pid, config, bus, until };
}
