import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { applianceId, applianceName, ensembleName, ipv4Address, macAddress, networkId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { openLocalBus } from "#drivers/messaging/local-server.ts";
import type { Messaging } from "#drivers/messaging/port.ts";
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
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import type { HostReport } from "#protocol/host-report.ts";
import { clusterAddress, hostAddress, topics } from "#protocol/topics.ts";
import type { LogResult } from "#protocol/topics.ts";
import { range } from "./harness.ts";
import type { BenchOptions, BenchRow } from "./harness.ts";

/**
 * One task appliance with an interface on a segment, through a real host manager: from the moment its plan is sent
 * over the bus to the time its command tells. We are the cluster manager here.
 */
const runs = 25;
const reference = "17-47 (a container by crun)";
const clock = systemClock();
const machine = {
  clock,
  random: systemRandom(),
  log: silentLog,
  subprocess: systemSubprocess(),
  cgroups: systemCgroups(clock),
};
const sourceRoot = join(import.meta.dirname, "../src");
/** Long enough for spare namespaces to be prepared again. */
const poolPauseMs = millis(400);

export async function measureTaskStart({ signal, progress }: BenchOptions): Promise<BenchRow[]> {
  const root = mkdtempSync(join(tmpdir(), "consort-bench-"));
  const place = { name: "benchtask", stateRoot: join(root, "state"), runRoot: join(root, "run") };
  const cleanUp = new AbortController().signal;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rmSync(root, { recursive: true, force: true }));
  await labDown({ ...place, machine }, cleanUp);
  undo.defer(() => labDown({ ...place, machine }, cleanUp));
  const topology = defaultLabTopology(1, 1);
  await labUp({ ...place, machine, topology, managers: false }, signal);
  const where = { nodePath: process.execPath, sourceRoot, apiAddress: "127.0.0.1", apiPort: 0 };
  const prepared = preparePrograms({ ...place, ...where, topology, managers: true }, layOut(topology));
  const hostProgram = prepared.find(({ program }) => program.name === "host-a1");
  if (hostProgram === undefined) throw new Error("the lab has no host a1");
  const host = await startHost(hostProgram, undo, signal);
  return [
    await measure("cold: an image of its own, on a segment of its own", host, imageIn(root), 20, {
      signal,
      progress,
    }),
    await measure("from the pool of prepared namespaces, on a segment that is there", host, undefined, 8, {
      signal,
      progress,
    }),
  ];
}

type Host = {
  readonly config: HostConfig;
  readonly bus: Messaging;
  /** The next report for which it holds. */
  until(holds: (report: HostReport) => boolean): Promise<HostReport>;
};

async function startHost(
  { program, config, configFile }: Prepared,
  undo: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Host> {
  if (!("cgroupParent" in config)) throw new Error("not a host's configuration");
  for (const directory of [config.stateDir, config.runDir, dirname(configFile)])
    mkdirSync(directory, { recursive: true });
  writeFileSync(configFile, JSON.stringify(config));
  const bus = await openLocalBus({ path: config.bus, address: clusterAddress, clock, log: silentLog });
  undo.defer(() => bus.close());
  const listeners = new Set<(report: HostReport) => void>();
  bus.answer(topics.report, async ({ body }) => {
    for (const listener of listeners) listener(body as HostReport);
    return null;
  });
  const child: ChildProcess = spawn(program.file, program.args, { stdio: "ignore" });
  undo.defer(async () => {
    const exit = once(child, "exit");
    if (child.kill("SIGTERM")) await exit;
  });
  const until: Host["until"] = (holds) =>
    new Promise((resolve, reject) => {
      const end = (): void => {
        listeners.delete(listener);
        signal.removeEventListener("abort", abort);
      };
      const listener = (report: HostReport): void => {
        if (!holds(report)) return;
        end();
        resolve(report);
      };
      const abort = (): void => {
        end();
        reject(signal.reason);
      };
      listeners.add(listener);
      signal.addEventListener("abort", abort);
    });
  await until(() => true);
  return { config, bus, until };
}

async function measure(
  name: string,
  host: Host,
  image: string | undefined,
  aimMs: number,
  { signal, progress }: BenchOptions,
): Promise<BenchRow> {
  const values: number[] = [];
  // One more than counted: the first also starts the helper process.
  for (let run = 0; run <= runs; run += 1) {
    await clock.sleep(poolPauseMs, signal);
    const took = await firstInstruction(host, image, signal);
    if (run > 0) values.push(took);
  }
  const figures = range(values);
  progress(`task appliance, ${name}: ${figures.value.toFixed(1)} ms`);
  return {
    case: `a task appliance, ${name}`,
    metric: "plan handed to the host manager → first instruction",
    unit: "ms",
    reference,
    aim: `<= ${aimMs}`,
    ...figures,
    ok: figures.value <= aimMs,
  };
}

let newestRevision = 0;

async function firstInstruction(host: Host, image: string | undefined, signal: AbortSignal): Promise<number> {
  const appliance = appliancePlan(image);
  const prepared = image === undefined;
  const sentAt = performance.timeOrigin + performance.now();
  await send(host, [appliance], prepared, signal);
  let output = "";
  while (!output.endsWith("\n")) {
    const answer = await host.bus.request(
      hostAddress(host.config.host),
      topics.log,
      { appliance: appliance.id, maxBytes: 100 },
      signal,
    );
    output = (answer as LogResult).text;
    if (output === "") await clock.sleep(millis(1), signal);
  }
  await send(host, [], prepared, signal);
  return Number(output) / 1e6 - sentAt;
}

/** Resolves when the host matches it. `segmentStays`: also without appliances, as for others of its network. */
async function send(
  host: Host,
  appliances: readonly AppliancePlan[],
  segmentStays: boolean,
  signal: AbortSignal,
): Promise<void> {
  newestRevision += 1;
  const sent = newestRevision;
  const plan = hostPlan(host.config, sent, appliances, segmentStays);
  const converged = host.until((report) => report.convergedRevision >= sent && report.problems.length === 0);
  await Promise.all([converged, host.bus.request(hostAddress(host.config.host), topics.plan, plan, signal)]);
}

const ensemble = ensembleName("bench");
const network = networkId(ensemble, "default");
const id = applianceId(ensemble, applianceName("task"));
const mac = macAddress("02:c0:00:00:00:01");
const address = ipv4Address("10.77.0.2");

function hostPlan(
  config: HostConfig,
  revision: number,
  appliances: readonly AppliancePlan[],
  segmentStays: boolean,
): HostPlan {
  const member = { appliance: id, name: "task", mac, address, host: config.host };
  const segment = {
    network,
    vni: 4711,
    mtu: 1450,
    peers: [],
    members: [{ ...member, hostAddress: config.uplink.address }],
  };
  return {
    host: config.host,
    epoch: 1,
    revision,
    appliances,
    segments: appliances.length > 0 || segmentStays ? [segment] : [],
    shapedPairs: [],
    tunnels: [],
  };
}

function appliancePlan(image: string | undefined): AppliancePlan {
  return {
    id,
    kind: "task",
    generation: String(newestRevision),
    ...(image === undefined ? {} : { image }),
    command: ["/bin/date", "+%s%N"],
    env: {},
    files: [],
    memoryBytes: mebibytes(64),
    restart: { when: "never", backoffMsMin: millis(100), backoffMsMax: millis(1000) },
    stopGraceMs: millis(1000),
    interfaces: [{ name: "eth0", network, mac, address, prefixLength: 24 }],
  };
}

/** The smallest root that can tell the time: `date` and what it is linked with. */
function imageIn(root: string): string {
  const image = join(root, "image");
  const files = ["/bin/date", "/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
  for (const file of files) {
    mkdirSync(join(image, dirname(file)), { recursive: true });
    copyFileSync(file, join(image, file));
  }
  return `dir://${image}`;
}
