import { ipv4Address } from "#base/ids.ts";
import { bytes, milliCpu } from "#base/units.ts";
import { compileCacheSetting } from "#lab/compile-cache.ts";
import type { ClusterConfig, HostConfig } from "#lab/config.ts";
import type { RelayConfig } from "#lab/latency/relay.ts";
import type { LabLayout, LabNode } from "#lab/layout.ts";
import { labPaths, netnsName, netnsPath, nodeCgroup, type LabPlace } from "#lab/names.ts";
import type { Topology } from "#model/topology.ts";

/** A process the lab's supervisor keeps running. */
export type Program = {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  /** The end of `args` that survives into the process's own command line, by which it is found again. */
  readonly identity: readonly string[];
};

/** A program, and the configuration file that has to be there before it starts. */
export type Prepared = {
  readonly program: Program;
  readonly configFile: string;
  readonly config: HostConfig | ClusterConfig | RelayConfig;
};

export type ProgramOptions = LabPlace & {
  readonly topology: Topology;
  /** The Node that runs the programs, and the directory the sources are in. */
  readonly nodePath: string;
  readonly sourceRoot: string;
  readonly managers: boolean;
  readonly apiAddress: string;
  readonly apiPort: number;
  readonly seed?: number;
  readonly policy?: ClusterConfig["policy"];
};

/** The name of the program that manages a host or gateway. */
export const managerOf = (node: string): string => `host-${node}`;

const hostMain = "host.ts";
/**
 * A host manager's rubbish is small, and its memory is promised: one thread beside the main one is enough to clear it
 * away. No flags that change what code V8 makes: that would not be found in the compile cache.
 */
const hostFlags = ["--max-semi-space-size=1", "--v8-pool-size=1"];

/** One relay a router that delays; with `managers`, one host manager a host and gateway, and one cluster manager. */
export function preparePrograms(options: ProgramOptions, layout: LabLayout): readonly Prepared[] {
  const relays = layout.nodes
    .filter(({ delays }) => delays.length > 0)
    .map(({ id, delays }) => {
      const devices = delays.map(({ device, delayUs }) => ({ device, delayUs }));
      return prepared(options, `latency-${id}`, "lab-latency.ts", { devices }, id);
    });
  if (!options.managers) return relays;
  const hosts = layout.nodes
    .filter(({ kind }) => kind === "host" || kind === "gateway")
    .map((node) =>
      prepared(options, managerOf(node.id), hostMain, hostConfig(options, node, layout), node.id),
    );
  return [...relays, prepared(options, "cluster", "cluster.ts", clusterConfig(options)), ...hosts];
}

/** A lab's networks lead nowhere: to its hosts the machine's own network, held open from the start, is the world. */
const outsideNetnsFd = 9;
const holdingOutside = ["sh", "-c", `exec ${outsideNetnsFd}</proc/self/ns/net && exec "$@"`, "sh"];

function prepared(
  options: ProgramOptions,
  name: string,
  main: string,
  config: Prepared["config"],
  node?: string,
): Prepared {
  const configFile = `${labPaths(options).configsDir}/${name}.json`;
  const identity = [`${options.sourceRoot}/main/${main}`, "--config", configFile];
  const flags = main === hostMain ? hostFlags : [];
  const inside =
    node === undefined
      ? []
      : [...holdingOutside, "nsenter", `--net=${netnsPath(netnsName(options.name, node))}`];
  // env, sh and nsenter become the program they start: one process, whose command line ends in `identity`.
  const args = [compileCacheSetting(options.sourceRoot), ...inside, options.nodePath, ...flags, ...identity];
  const program = { name, file: "env", args, identity };
  return { program, configFile, config };
}

function hostConfig(options: ProgramOptions, node: LabNode, layout: LabLayout): HostConfig {
  const paths = labPaths(options);
  const spec = options.topology.hosts.find(({ id }) => id === node.id);
  const site = layout.sites[node.siteIndex - 1];
  const uplink = node.interfaces.find(({ name }) => name === "uplink");
  const [address, prefixLength] = uplink?.address?.split("/") ?? [];
  if (site === undefined || uplink === undefined || address === undefined) {
    throw new Error(`layout gives ${node.id} no uplink in a site`);
  }
  const outside = node.interfaces.find(({ name }) => name === "wan")?.address?.split("/")[0];
  return {
    lab: options.name,
    host: node.id as HostConfig["host"],
    site: site.site,
    role: node.kind === "gateway" ? "gateway" : "host",
    mark: `${options.name}-${node.id}`,
    bus: paths.bus,
    stateDir: `${paths.stateDir}/hosts/${node.id}`,
    runDir: `${paths.runDir}/hosts/${node.id}`,
    cgroupParent: nodeCgroup(options.name, node.id),
    uplink: {
      interface: "uplink",
      address: ipv4Address(address),
      prefixLength: Number(prefixLength),
      bandwidthBps: uplink.bandwidthBps,
    },
    ...(outside === undefined ? {} : { outsideAddress: ipv4Address(outside) }),
    siteSubnet: site.subnet,
    labels: spec?.labels ?? {},
    cpuMilli: spec?.cpuMilli ?? milliCpu(0),
    ...(spec?.dispatch === undefined ? {} : { dispatch: spec.dispatch }),
    memoryBytes: spec?.memoryBytes ?? bytes(0),
    netnsPrefix: `${netnsName(options.name, node.id)}.`,
    outsideNetnsFd,
  };
}

function clusterConfig(options: ProgramOptions): ClusterConfig {
  const paths = labPaths(options);
  return {
    lab: options.name,
    bus: paths.bus,
    stateDir: `${paths.stateDir}/cluster`,
    runDir: paths.runDir,
    apiAddress: options.apiAddress,
    apiPort: options.apiPort,
    gangliaPort: 0,
    tokenFile: paths.tokenFile,
    topology: options.topology,
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.policy === undefined ? {} : { policy: options.policy }),
  };
}
