import { join } from "node:path";
import { limits } from "#base/limits.ts";
import { addressNumber } from "#base/ipv4.ts";
import { noAppliances } from "#drivers/appliance/none.ts";
import { processorsOf } from "#control/scheduling/processors.ts";
import type { ApplianceDriver } from "#drivers/appliance/port.ts";
import { TaskDriver } from "#drivers/appliance/task/driver.ts";
import type { MachineHooks } from "#drivers/appliance/task/extras.ts";
import type { ContentDrivers } from "#host/content.ts";
import { connectLocalBus } from "#drivers/messaging/local-client.ts";
import type { MonitorDriver } from "#drivers/monitor/port.ts";
import { noSegments } from "#drivers/network/none.ts";
import type { NetworkDriver, TunnelDriver } from "#drivers/network/port.ts";
import { createCpuScheduler } from "#drivers/scheduling/create.ts";
import type { CpuScheduler } from "#drivers/scheduling/port.ts";
import { planFile } from "#drivers/store/plan-file.ts";
import { machineLayout, systemCgroups } from "#drivers/system/cgroups/group.ts";
import { systemRandom } from "#drivers/system/random.ts";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { procMeter } from "#drivers/usage/proc-meter.ts";
import { HostManager } from "#host/manager.ts";
import type { HostManagerParts } from "#host/manager.ts";
import type { HostConfig } from "#lab/config.ts";
import { hostContent } from "#main/host-content.ts";
import type { Machines } from "#main/machines.ts";
import { runManager } from "#main/process.ts";
import type { Manager } from "#main/process.ts";
import { namesAddress } from "#protocol/naming-address.ts";
import { clusterAddress, hostAddress, topics } from "#protocol/topics.ts";
import type { SecretBody, SecretResult } from "#protocol/topics.ts";

/** Begins the name of every link and table of ours inside a host's network namespace. */
const linkMark = "cst";
/** Who serves names runs as this user, on every host, and nothing else does. */
const namingUid = 199_999;
const firstUid = 200_000;
/** Lab hosts share one machine's user ids: each has this many, numbered by its address. */
const uidsPerHost = 10_000;

if (import.meta.main) await runManager<HostConfig>("host", manageHost);

async function manageHost(manager: Manager<HostConfig>): Promise<void> {
  const { config, clock, log, signal } = manager;
  const gateway = config.role === "gateway";
  // Never closed: what keeps reservations outlives this process, as the appliances do, and is taken over by the next.
  const scheduler = gateway ? undefined : cpuScheduler(manager);
  const content = gateway ? undefined : await hostContent(manager);
  const machines =
    scheduler === undefined || content === undefined
      ? undefined
      : await machinesOf(manager, scheduler, content);
  const appliances =
    machines?.driver ?? (scheduler === undefined ? noAppliances : taskDriver(manager, scheduler));
  const network = gateway ? noSegments : await networkDriver(manager);
  const tunnels = gateway ? await gatewayTunnels(manager) : undefined;
  const monitors = gateway ? undefined : await monitorDriver(manager, appliances);
  const messaging = connectLocalBus({
    path: config.bus,
    address: hostAddress(config.host),
    hears: [clusterAddress],
    clock,
    random: systemRandom(),
    log,
  });
  if (machines !== undefined) {
    machines.secrets.ask = async (name, stop) => {
      const body: SecretBody = { host: config.host, name };
      return ((await messaging.request(clusterAddress, topics.secret, body, stop)) as SecretResult).fields;
    };
  }
  const { cpuMilli, memoryBytes, uplink } = config;
  const host = new HostManager({
    identity: {
      host: config.host,
      site: config.site,
      role: config.role,
      address: uplink.address,
      siteSubnet: config.siteSubnet,
      capacity: { cpuMilli, memoryBytes, uplinkBps: uplink.bandwidthBps },
      labels: config.labels,
      ...(config.outsideAddress === undefined ? {} : { outsideAddress: config.outsideAddress }),
    },
    clock,
    log,
    messaging,
    appliances,
    network,
    keeper: planFile(join(config.stateDir, "plan.json")),
    ...(gateway
      ? {}
      : { jobs: (await import("#main/job-parts.ts")).jobParts(manager, appliances, messaging) }),
    ...(content === undefined ? {} : { content }),
    ...(machines === undefined ? {} : { checkpoints: checkpointParts(machines), guests: machines.guests }),
    ...(tunnels === undefined ? {} : { tunnels }),
    ...(monitors === undefined ? {} : { monitors }),
    machine: procMeter({ uplink: uplink.interface, ageMs: limits.countersPeriodMs, clock }),
  });
  try {
    await host.run(signal);
  } finally {
    await Promise.allSettled([messaging.close(), appliances.close(), network.close(), tunnels?.close()]);
    await machines?.close();
  }
}

/** A declaration, as this module is at work before its end is reached. */
function checkpointParts({ checkpoints, sweeper }: Machines): NonNullable<HostManagerParts["checkpoints"]> {
  return { checkpointer: checkpoints, sweeper, random: systemRandom() };
}

function cpuScheduler({ config, log }: Manager<HostConfig>): CpuScheduler {
  return createCpuScheduler({
    directory: join(config.runDir, "scheduling"),
    layout: machineLayout(),
    cgroupParent: config.cgroupParent,
    processors: processorsOf(config.cpuMilli),
    ...config.dispatch,
    log,
  });
}

/** Loaded only where there is a QEMU. */
async function machinesOf(
  manager: Manager<HostConfig>,
  scheduler: CpuScheduler,
  content: ContentDrivers,
): Promise<Machines | undefined> {
  const { canRunMachines, openMachines } = await import("#main/machines.ts");
  if (!canRunMachines(process.env["PATH"] ?? "")) return undefined;
  return openMachines(manager, (hooks) => taskDriver(manager, scheduler, hooks), content);
}

function taskDriver(
  { config, clock, log }: Manager<HostConfig>,
  scheduler: CpuScheduler,
  machines?: MachineHooks,
): TaskDriver {
  return new TaskDriver({
    stateDir: join(config.stateDir, "tasks"),
    cgroupParent: config.cgroupParent,
    netnsPrefix: config.netnsPrefix,
    cgroups: systemCgroups(clock),
    scheduler,
    clock,
    log,
    firstUid: firstUid + (addressNumber(config.uplink.address) % 0x1_0000) * uidsPerHost,
    ...(machines === undefined ? {} : { machines }),
  });
}

/** Loaded only where it is used: a gateway needs no segments, a host no tunnels, and memory is promised. */
async function networkDriver({ config, clock, log }: Manager<HostConfig>): Promise<NetworkDriver> {
  const { hostNetworkDriver } = await import("#drivers/network/host-network.ts");
  const naming = {
    directory: join(config.runDir, "naming"),
    uid: namingUid,
    cgroups: systemCgroups(clock),
    cgroupParent: config.cgroupParent,
    listenAddress: namesAddress,
    clock,
  };
  return hostNetworkDriver({ mark: linkMark, uplink: config.uplink, ownNamespace: true, naming, log });
}

async function monitorDriver(
  { clock }: Manager<HostConfig>,
  appliances: ApplianceDriver,
): Promise<MonitorDriver> {
  const { systemMonitors } = await import("#drivers/monitor/system-monitors.ts");
  return systemMonitors({ appliances, clock });
}

async function gatewayTunnels({ config, clock, log }: Manager<HostConfig>): Promise<TunnelDriver> {
  const { tunnelDriver } = await import("#drivers/network/tunnels/tunnel-driver.ts");
  return tunnelDriver({
    mark: linkMark,
    stateDir: join(config.stateDir, "tunnels"),
    runDir: join(config.runDir, "tunnels"),
    outsideInterface: "wan",
    clock,
    log,
    subprocess: systemSubprocess(),
  });
}
