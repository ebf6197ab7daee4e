import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { compileCacheSetting } from "#lab/compile-cache.ts";
import { tryLock, type FileLock } from "#lab/lock.ts";
import type { LabMachine } from "#lab/machine.ts";
import { labPaths, type LabPlace } from "#lab/names.ts";
import { isAlive, isProcessMark, killNow, type ProcessMark } from "#lab/processes.ts";
import { readJson } from "#lab/record.ts";

/** The supervisor as seen by the commands: started, told of new programs, replaced by the one who removes the lab. */
const pollMs = millis(5);
export const supervisorStartMsMax = millis(15_000);

export function supervisorOf(place: LabPlace): ProcessMark | undefined {
  const mark = readJson(labPaths(place).supervisorFile, isProcessMark);
  return mark !== undefined && isAlive(mark) ? mark : undefined;
}

/**
 * Makes sure that a supervisor runs and has read the programs file as it is now. It holds on to the lab's lock
 * until it can be found: should we be killed meanwhile, the next command waits for it.
 */
export async function startSupervisor(
  place: LabPlace,
  options: { readonly nodePath: string; readonly sourceRoot: string; readonly lockFd: number },
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  const running = supervisorOf(place);
  if (running !== undefined) {
    process.kill(running.pid, "SIGHUP");
    return;
  }
  const paths = labPaths(place);
  mkdirSync(paths.logsDir, { recursive: true });
  const log = openSync(`${paths.logsDir}/supervisor.log`, "a");
  const main = `${options.sourceRoot}/main/lab-supervisor.ts`;
  const args = [
    "--lab",
    place.name,
    "--state-root",
    place.stateRoot,
    "--run-root",
    place.runRoot,
    "--lock-fd",
    "3",
  ];
  const child = spawn("env", [compileCacheSetting(options.sourceRoot), options.nodePath, main, ...args], {
    detached: true,
    cwd: "/",
    stdio: ["ignore", log, log, options.lockFd],
  });
  closeSync(log);
  child.unref();
  const deadline = machine.clock.monotonic() + supervisorStartMsMax;
  while (supervisorOf(place) === undefined) {
    if (child.exitCode !== null || machine.clock.monotonic() > deadline) {
      throw new ConsortError(
        "internal",
        `Cannot start the supervisor of lab ${place.name}: see ${paths.logsDir}/supervisor.log`,
      );
    }
    await machine.clock.sleep(pollMs, signal);
  }
}

/** Kills the supervisor, if there is one, and takes its place, so that no late one can start anything. */
export async function takeSupervisorsPlace(
  place: LabPlace,
  machine: LabMachine,
  signal: AbortSignal,
): Promise<FileLock> {
  for (;;) {
    const lock = tryLock(labPaths(place).supervisorFile);
    if (lock !== undefined) return lock;
    // One that has the lock and has not yet said who it is will in a moment.
    const running = supervisorOf(place);
    if (running !== undefined) killNow(running.pid);
    await machine.clock.sleep(pollMs, signal);
  }
}
