import { readFileSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { removeBudgets } from "#lab/budgets.ts";
import type { LabMachine } from "#lab/machine.ts";
import { labCgroup, labPaths, type LabPlace } from "#lab/names.ts";
import { markedNamespaces, removeNamespaces } from "#lab/namespaces.ts";
import { removeTunnelSockets } from "#lab/tunnel-sockets.ts";
import { killNow, processesIn } from "#lab/processes.ts";

const killWaitMsMax = millis(10_000);
const pollMs = millis(2);

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
  await killProcesses(place.name, machine, signal);
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
  removeTunnelSockets(paths.stateDir);
  // The directory with the lock goes last, so that who waits for the lock finds nothing when its turn comes.
  for (const directory of [paths.runDir, paths.stateDir]) {
    rmSync(directory, { recursive: true, force: true });
    removeIfEmpty(dirname(directory));
    removeIfEmpty(dirname(dirname(directory)));
  }
}

async function killProcesses(lab: string, machine: LabMachine, signal: AbortSignal): Promise<void> {
  const deadline = machine.clock.monotonic() + killWaitMsMax;
  for (;;) {
    killGroup(labCgroup(lab), machine);
    const inside = processesIn(markedNamespaces(lab));
    for (const pid of inside) killNow(pid);
    const left = [...pidsBelow(labCgroup(lab), machine), ...inside];
    if (left.length === 0) return;
    if (machine.clock.monotonic() > deadline) {
      throw new ConsortError(
        "timeout",
        `Cannot remove lab ${lab}: processes ${left.join(", ")} do not end, killed ${killWaitMsMax / 1000} s ago`,
      );
    }
    await machine.clock.sleep(pollMs, signal);
  }
}

function killGroup(path: string, machine: LabMachine): void {
  const group = machine.cgroups.open(path);
  if (!group.exists()) return;
  try {
    group.killAll();
  } catch (error) {
    // A group of which a killed removal left only some trees; its processes are killed one by one below.
    machine.log.debug("group cannot be killed at once", { path, error });
  } finally {
    group.close();
  }
  for (const pid of pidsBelow(path, machine)) killNow(pid);
}

function pidsBelow(path: string, machine: LabMachine): number[] {
  const group = machine.cgroups.open(path);
  return [...group.pids(), ...group.children().flatMap((name) => pidsBelow(`${path}/${name}`, machine))];
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
