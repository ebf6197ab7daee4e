import { isDeepStrictEqual } from "node:util";
import { ConsortError } from "#base/errors.ts";
import type { Topology } from "#model/topology.ts";
import { makeBudgets } from "#lab/budgets.ts";
import { buildNetwork } from "#lab/build.ts";
import { layOut } from "#lab/layout.ts";
import { lockLab } from "#lab/lock.ts";
import type { LabMachine } from "#lab/machine.ts";
import { checkLabName, labCgroup, labPaths, type LabPlace } from "#lab/names.ts";
import { markedNamespaces } from "#lab/namespaces.ts";
import { readRecord, writeDurably, type LabRecord } from "#lab/record.ts";
import { removeEverything } from "#lab/remove.ts";

export type LabUpOptions = LabPlace & {
  readonly machine: LabMachine;
  readonly topology: Topology;
};

export type LabDownOptions = LabPlace & { readonly machine: LabMachine };

/**
 * Builds the lab, or adopts what there is of it and makes it whole; may be repeated and interrupted at any moment.
 * @throws conflict when the lab is up with another topology, or bears marks this state directory knows nothing of
 */
export async function labUp(options: LabUpOptions, signal: AbortSignal): Promise<void> {
  checkLabName(options.name);
  const { machine, topology } = options;
  const paths = labPaths(options);
  const layout = layOut(topology);
  using lock = await lockLab(paths.lockFile, options.name, machine.clock, signal);
  recordFirst(options);
  makeBudgets(options.name, topology, machine.cgroups);
  await buildNetwork(options.name, layout, lock.fd, machine.subprocess, signal);
}

/** Removes the lab from whatever state it is in; one that does not exist is removed already. */
export async function labDown(options: LabDownOptions, signal: AbortSignal): Promise<void> {
  checkLabName(options.name);
  const paths = labPaths(options);
  using _lock = await lockLab(paths.lockFile, options.name, options.machine.clock, signal);
  await removeEverything(options, options.machine, signal);
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
