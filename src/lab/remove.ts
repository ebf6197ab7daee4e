import { readFileSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { removeBudgets } from "#lab/budgets.ts";
import { killUntilNone } from "#lab/killing.ts";
import type { LabMachine } from "#lab/machine.ts";
import { labCgroup, labPaths, type LabPlace } from "#lab/names.ts";
import { markedNamespaces, removeNamespaces } from "#lab/namespaces.ts";
import { removeResolvers } from "#lab/resolvers.ts";
import { removeTunnelSockets } from "#lab/tunnel-sockets.ts";

/**
 * Removes everything that bears the lab's mark, in an order in which nothing can come back: first what makes
 * things (processes), then what they made. Needs no record, so a torn or missing one does not matter.
 */
export async function removeEverything(
  place: LabPlace,
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  const paths = labPaths(place);
  const namespaces = (): string[] => markedNamespaces(place.name);
  const group = labCgroup(place.name);
  await killUntilNone(`remove lab ${place.name}`, { group, namespaces }, machine, signal);
  await unmountBelow([paths.stateDir, paths.runDir], machine, signal);
  await removeNamespaces(markedNamespaces(place.name), machine.subprocess, signal);
  await removeBudgets(place.name, machine.cgroups, signal);
  const left = markedNamespaces(place.name);
  if (left.length > 0) {
    throw new ConsortError(
      "driver_failed",
      `Cannot remove lab ${place.name}: namespaces ${left.join(", ")} remain`,
    );
  }
  removeResolvers(place.name);
  removeTunnelSockets(paths.stateDir);
  // The directory with the lock goes last, so that who waits for the lock finds nothing when its turn comes.
  for (const directory of [paths.runDir, paths.stateDir]) {
    rmSync(directory, { recursive: true, force: true });
    removeIfEmpty(dirname(directory));
    removeIfEmpty(dirname(dirname(directory)));
  }
  machine.removeAbandonedTables?.();
}

async function unmountBelow(
  directories: readonly string[],
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  const points = mountPoints(readFileSync("/proc/self/mountinfo", "utf8"));
  const ours = points.filter((point) => directories.some((directory) => point.startsWith(`${directory}/`)));
  if (ours.length === 0) return;
  // What was mounted later may lie on top of what was mounted before.
  await machine.subprocess.check("umount", ["--lazy", ...ours.reverse()], signal);
}

/** In the order they were mounted; mountinfo writes a space as \040. */
export function mountPoints(mountinfo: string): string[] {
  return mountinfo
    .split("\n")
    .flatMap((line) => line.split(" ")[4] ?? [])
    .map((point) =>
      point.replaceAll(/\\([0-7]{3})/g, (_, code: string) => String.fromCodePoint(parseInt(code, 8))),
    );
}

function removeIfEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // Another lab's.
  }
}
