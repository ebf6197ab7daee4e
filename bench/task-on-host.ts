import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { applianceId, applianceName, ensembleName, ipv4Address, macAddress, networkId } from "#base/ids.ts";
import { mebibytes, millis } from "#base/units.ts";
import { systemClock } from "#drivers/system/clock.ts";
import type { HostConfig } from "#lab/config.ts";
import type { AppliancePlan, HostPlan } from "#protocol/host-plan.ts";
import { hostAddress, topics } from "#protocol/topics.ts";
import type { LogResult } from "#protocol/topics.ts";
import { range } from "./harness.ts";
import type { BenchOptions, BenchRow } from "./harness.ts";
import { oneHost } from "./one-host.ts";
import type { OneHost } from "./one-host.ts";

/**
 * One task appliance with an interface on a segment, through a real host manager: from the moment its plan is sent
 * over the bus to the time its command tells. We are the cluster manager here.
 */
const runs = 25;
const reference = "17-47 (a container by crun)";
const clock = systemClock();
/** Long enough for spare namespaces to be prepared again. */
const poolPauseMs = millis(400);

export async function measureTaskStart({ signal, progress }: BenchOptions): Promise<BenchRow[]> {
  await using undo = new AsyncDisposableStack();
  const root = mkdtempSync(join(tmpdir(), "consort-bench-"));
  undo.defer(() => rmSync(root, { recursive: true, force: true }));
  const host = await oneHost("benchtask", root, undo, signal);
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

async function measure(
  name: string,
  host: OneHost,
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

async function firstInstruction(
  host: OneHost,
  image: string | undefined,
  signal: AbortSignal,
): Promise<number> {
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
  host: OneHost,
  appliances: readonly AppliancePlan[],
  segmentStays: boolean,
  signal: AbortSignal,
): Promise<void> {
  newestRevision += 1;
  const sent = newestRevision;
  const plan = hostPlan(host.config, sent, appliances, segmentStays);
  const converged = host.until(
    (report) => report.convergedRevision >= sent && report.problems.length === 0,
    signal,
  );
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
