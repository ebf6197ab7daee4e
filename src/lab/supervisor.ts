import { writeFileSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import { keepRunning } from "#lab/keeper.ts";
import { tryLock } from "#lab/lock.ts";
import type { LabMachine } from "#lab/machine.ts";
import { labPaths, managersCgroup, type LabPlace } from "#lab/names.ts";
import { startTimeOf } from "#lab/processes.ts";
import { readPrograms } from "#lab/programs-file.ts";

/**
 * One process a lab, which starts its programs and starts each again when it ends. It holds the lab's supervisor
 * lock, so there is never a second one; and it joins the managers' group before it starts anything, so whatever
 * `lab down` meets is in that group. Its own death harms nobody: the next one adopts what runs.
 *
 *     labUp ── spawns ──▶ supervisor ── keeps ──▶ latency relays, cluster manager, host managers
 */
export type Supervision = {
  /** Starts what the programs file names and is not kept yet. */
  reload(): void;
  /** Resolves when aborted. */
  readonly ended: Promise<void>;
};

/**
 * @param registered called when the next `lab down` would find this process
 * @returns undefined when the lab has a supervisor already
 * @throws not_found when there is no such lab, or no longer
 */
export function supervise(
  place: LabPlace,
  machine: LabMachine,
  registered: () => void,
  signal: AbortSignal,
): Supervision | undefined {
  const paths = labPaths(place);
  const lock = lockOf(paths.supervisorFile, place.name);
  if (lock === undefined) return undefined;
  // Not made here if it is missing: then the lab is being removed.
  machine.cgroups.open(managersCgroup(place.name)).attach(process.pid);
  const kept = new Map<string, Promise<void>>();
  const reload = (): void => {
    for (const program of readPrograms(paths.programsFile)) {
      if (kept.has(program.name)) continue;
      kept.set(
        program.name,
        keepRunning(program, place, machine, signal).catch(unlessAborted(machine, signal)),
      );
    }
  };
  reload();
  // Last, so that who waits for this file finds the programs running.
  const startTime = startTimeOf(process.pid);
  writeFileSync(paths.supervisorFile, JSON.stringify({ pid: process.pid, startTime }));
  registered();
  const end = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.all(kept.values());
    lock[Symbol.dispose]();
  };
  return { reload, ended: end() };
}

function lockOf(file: string, lab: string): Disposable | undefined {
  try {
    return tryLock(file);
  } catch (cause) {
    throw new ConsortError("not_found", `Cannot supervise lab ${lab}: it does not exist`, { cause });
  }
}

function unlessAborted(machine: LabMachine, signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted) machine.log.error("a program is kept no longer", { error });
  };
}
