import { rmSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { makeBudgets } from "#lab/budgets.ts";
import { buildNetwork } from "#lab/build.ts";
import { findRunning } from "#lab/keeper.ts";
import { killUntilNone } from "#lab/killing.ts";
import { layOut, withoutNodes } from "#lab/layout.ts";
import { lockLab } from "#lab/lock.ts";
import type { LabMachine } from "#lab/machine.ts";
import { checkLabName, labPaths, netnsName, nodeCgroup, type LabPlace } from "#lab/names.ts";
import { markedNamespaces, removeNamespaces, unplug } from "#lab/namespaces.ts";
import { nodesOff, writeNodesOff } from "#lab/power-record.ts";
import { isPaused } from "#lab/processes.ts";
import { managerOf } from "#lab/programs.ts";
import { readPrograms } from "#lab/programs-file.ts";
import { readRecord, type LabRecord } from "#lab/record.ts";

/**
 * Hosts and gateways of a lab lose their power, get it back, or only their manager stands still. Each is a state that
 * is asked for, not a step: asking again, also after having been cut off at any point, completes it.
 *
 *     power off   recorded; then all its processes killed, its namespaces removed (links, tunnels and rules with them)
 *     power on    what is left is cleared, its namespace and cables made again; its manager starts as after a reboot
 *     pause       its manager is stopped (SIGSTOP) with all it believes; nothing else is touched
 */
export type NodeOptions = LabPlace & { readonly machine: LabMachine; readonly node: string };

/** @throws not_found without such a lab or host */
export async function powerOff(options: NodeOptions, signal: AbortSignal): Promise<void> {
  const { machine, node } = options;
  using _lock = await locked(options, signal);
  machineOf(options, "power off");
  writeNodesOff(options, new Set([...nodesOff(options), node]));
  await cutPower(options, node, machine, signal);
}

/** @throws not_found without such a lab or host */
export async function powerOn(options: NodeOptions, signal: AbortSignal): Promise<void> {
  const { machine, name, node } = options;
  using lock = await locked(options, signal);
  const { topology } = machineOf(options, "power on");
  const off = nodesOff(options);
  if (!off.has(node)) return;
  await cutPower(options, node, machine, signal);
  const others = new Set([...off].filter((one) => one !== node));
  makeBudgets(name, topology, machine.cgroups);
  const layout = withoutNodes(layOut(topology), others);
  await buildNetwork(name, layout, lock.fd, machine.subprocess, signal);
  // Last: the lab's supervisor starts its manager as soon as it reads this.
  writeNodesOff(options, others);
}

/** @throws conflict while it has no power, unavailable when its manager does not run, not_found without such a host */
export async function pauseManager(options: NodeOptions, signal: AbortSignal): Promise<void> {
  await signalManager(options, "SIGSTOP", signal);
}

/** @throws like pauseManager */
export async function resumeManager(options: NodeOptions, signal: AbortSignal): Promise<void> {
  await signalManager(options, "SIGCONT", signal);
}

async function signalManager(
  options: NodeOptions,
  what: "SIGSTOP" | "SIGCONT",
  signal: AbortSignal,
): Promise<void> {
  const { machine, name, node } = options;
  const action = what === "SIGSTOP" ? "pause" : "resume";
  using _lock = await locked(options, signal);
  machineOf(options, action);
  if (nodesOff(options).has(node)) {
    throw new ConsortError("conflict", `Cannot ${action} ${node}: it is powered off, wanted powered on`);
  }
  const program = readPrograms(labPaths(options).programsFile).find((one) => one.name === managerOf(node));
  const running = program === undefined ? undefined : findRunning(program, name, machine);
  if (running === undefined) {
    throw new ConsortError(
      "unavailable",
      `Cannot ${action} ${node}: its manager does not run in lab ${name}`,
    );
  }
  process.kill(running.pid, what);
  // The kernel stops it at its next chance; who asked may rely on it.
  const reached = (): boolean => isPaused(running.pid) !== (what !== "SIGSTOP");
  while (!reached()) await machine.clock.sleep(pollMs, signal);
}

const pollMs = millis(1);

/** Everything of a node that a loss of power would take; its records stay, as on its disk. */
export async function cutPower(
  place: LabPlace,
  node: string,
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  const mine = netnsName(place.name, node);
  const namespaces = (): string[] =>
    markedNamespaces(place.name).filter((name) => name === mine || name.startsWith(`${mine}.`));
  const group = nodeCgroup(place.name, node);
  await killUntilNone(`power off ${node}`, { group, namespaces }, machine, signal);
  await unplug(mine, machine.subprocess, signal);
  await removeNamespaces(namespaces(), machine.subprocess, signal);
  await machine.cgroups.open(group).remove(signal);
  // What a reboot empties.
  rmSync(`${labPaths(place).runDir}/hosts/${node}`, { recursive: true, force: true });
  machine.removeAbandonedTables?.();
}

async function locked(options: NodeOptions, signal: AbortSignal) {
  checkLabName(options.name);
  const paths = labPaths(options);
  if (readRecord(paths.recordFile) === undefined) {
    throw new ConsortError("not_found", `Cannot change lab ${options.name}: it is not up (consort lab up)`);
  }
  return lockLab(paths.lockFile, options.name, options.machine.clock, signal);
}

function machineOf({ node, ...place }: NodeOptions, action: string): LabRecord {
  const record = readRecord(labPaths(place).recordFile);
  const nodes = record === undefined ? [] : layOut(record.topology).nodes;
  const able = nodes.filter(({ kind }) => kind === "host" || kind === "gateway").map(({ id }) => id);
  if (record !== undefined && able.includes(node)) return record;
  throw new ConsortError(
    "not_found",
    `Cannot ${action} ${node}: lab ${place.name} has no host or gateway of that name, wanted one of ${able.join(", ")}`,
  );
}
