import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { ConsortError } from "#base/errors.ts";
import type { Topology } from "#model/topology.ts";
import { makeBudgets } from "#lab/budgets.ts";
import { buildNetwork } from "#lab/build.ts";
import { layOut, withoutNodes } from "#lab/layout.ts";
import type { ClusterConfig } from "#lab/config.ts";
import { fillCompileCache } from "#lab/compile-cache.ts";
import { relaysReady } from "#lab/latency/ready.ts";
import { lockLab } from "#lab/lock.ts";
import type { LabMachine } from "#lab/machine.ts";
import { checkLabName, labCgroup, labPaths, type LabPlace } from "#lab/names.ts";
import { markedNamespaces } from "#lab/namespaces.ts";
import { cutPower } from "#lab/power.ts";
import { nodesOff } from "#lab/power-record.ts";
import { preparePrograms, type Prepared } from "#lab/programs.ts";
import { readPrograms, writePrograms } from "#lab/programs-file.ts";
import { readRecord, writeDurably, type LabRecord } from "#lab/record.ts";
import { removeEverything } from "#lab/remove.ts";
import { statusOf, type LabStatus } from "#lab/status.ts";
import { startSupervisor, supervisorOf, takeSupervisorsPlace } from "#lab/supervision.ts";

/** The directory of the sources, "src". */
const sourceRoot = dirname(import.meta.dirname);
const tokenBytes = 32;
const ownerOnly = 0o600;

export type LabUpOptions = LabPlace & {
  readonly machine: LabMachine;
  readonly topology: Topology;
  /** False builds the network, budgets and delays only. Default true. */
  readonly managers?: boolean;
  /** The Node that runs the managers; default: the one that runs this. */
  readonly nodePath?: string;
  /** Where the API of the cluster manager listens; default: loopback, any free port. */
  readonly apiAddress?: string;
  readonly apiPort?: number;
  /** Makes the cluster manager's choices repeatable. */
  readonly seed?: number;
  /** How hosts are filled; absent: evenly, and nothing moves to make room. */
  readonly policy?: ClusterConfig["policy"];
  /** Told of each phase as it begins. */
  readonly progress?: (line: string) => void;
};

export type LabDownOptions = LabPlace & { readonly machine: LabMachine };

/**
 * Builds the lab, or adopts what there is of it and makes it whole; may be repeated and interrupted at any moment.
 * The managers are running when it returns, not yet connected: the cluster manager writes "<runDir>/api.json" when its
 * API answers.
 * @throws conflict when the lab is up with another topology, or bears marks this state directory knows nothing of
 */
export async function labUp(options: LabUpOptions, signal: AbortSignal): Promise<LabStatus> {
  checkLabName(options.name);
  const { machine, topology } = options;
  const paths = labPaths(options);
  const layout = layOut(topology);
  using lock = await lockLab(paths.lockFile, options.name, machine.clock, signal);
  recordFirst(options);
  options.progress?.(`network of ${layout.nodes.length} nodes and ${layout.cables.length} links`);
  makeBudgets(options.name, topology, machine.cgroups);
  const off = nodesOff(options);
  for (const node of off) await cutPower(options, node, machine, signal);
  await buildNetwork(options.name, withoutNodes(layout, off), lock.fd, machine.subprocess, signal);
  const prepared = preparePrograms(
    {
      nodePath: process.execPath,
      sourceRoot,
      managers: true,
      apiAddress: "127.0.0.1",
      apiPort: 0,
      ...options,
    },
    layout,
  );
  await keepPrograms(options, prepared, lock.fd, signal);
  await relaysReady(options.name, layout, machine, signal);
  return statusOf(options, machine);
}

async function keepPrograms(
  options: LabUpOptions,
  prepared: readonly Prepared[],
  lockFd: number,
  signal: AbortSignal,
): Promise<void> {
  const kept = readPrograms(labPaths(options).programsFile).length;
  const supervised = supervisorOf(options) !== undefined;
  if (Math.max(kept, prepared.length) === 0) return;
  // A lab that has its managers keeps them when only its network is asked for again.
  const writes = prepared.length > kept || (prepared.length === kept && !supervised);
  if (supervised && !writes) return;
  options.progress?.(`${Math.max(kept, prepared.length)} programs`);
  if (writes) writeConfigs(options, prepared);
  const { machine, nodePath = process.execPath } = options;
  await fillCompileCache({ nodePath, sourceRoot }, machine, signal);
  await startSupervisor(options, { nodePath, sourceRoot, lockFd }, machine, signal);
}

function writeConfigs(options: LabUpOptions, prepared: readonly Prepared[]): void {
  const paths = labPaths(options);
  mkdirSync(paths.runDir, { recursive: true });
  for (const { configFile, config } of prepared) {
    if ("stateDir" in config) {
      for (const directory of [config.stateDir, config.runDir]) mkdirSync(directory, { recursive: true });
    }
    writeDurably(configFile, JSON.stringify(config));
  }
  if (!existsSync(paths.tokenFile)) {
    writeDurably(paths.tokenFile, `${options.machine.random.hex(tokenBytes)}\n`, ownerOnly);
  }
  writePrograms(
    paths.programsFile,
    prepared.map(({ program }) => program),
  );
}

/** Removes the lab from whatever state it is in; one that does not exist is removed already. */
export async function labDown(options: LabDownOptions, signal: AbortSignal): Promise<void> {
  checkLabName(options.name);
  const paths = labPaths(options);
  using _lock = await lockLab(paths.lockFile, options.name, options.machine.clock, signal);
  using _place = await takeSupervisorsPlace(options, options.machine, signal);
  await removeEverything(options, options.machine, signal);
}

/** What there is of the lab; changes nothing. */
export function labStatus(options: LabDownOptions): LabStatus {
  checkLabName(options.name);
  return statusOf(options, options.machine);
}

function recordFirst(options: LabUpOptions): void {
  const paths = labPaths(options);
  const record: LabRecord = {
    version: 1,
    lab: options.name,
    runDir: paths.runDir,
    topology: options.topology,
  };
  const before = readRecord(paths.recordFile);
  if (before === undefined) {
    const marked = markedNamespaces(options.name).length > 0;
    if (marked || options.machine.cgroups.open(labCgroup(options.name)).exists()) {
      throw new ConsortError(
        "conflict",
        `Cannot bring up lab ${options.name}: this machine has things of a lab of that name which ${paths.stateDir} has no record of, wanted none (consort lab down removes them)`,
      );
    }
    writeDurably(paths.recordFile, JSON.stringify(record));
    return;
  }
  if (!isDeepStrictEqual(before, JSON.parse(JSON.stringify(record)))) {
    throw new ConsortError(
      "conflict",
      `Cannot bring up lab ${options.name}: it is up with another topology or run directory, wanted the same (consort lab down first)`,
    );
  }
}
