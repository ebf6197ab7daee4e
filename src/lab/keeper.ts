import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { millis } from "#base/units.ts";
import type { LabMachine } from "#lab/machine.ts";
import { labPaths, managersCgroup, type LabPlace } from "#lab/names.ts";
import { commandOf, isAlive, startTimeOf, type ProcessMark } from "#lab/processes.ts";
import { nodesOff } from "#lab/power-record.ts";
import { managerOf, type Program } from "#lab/programs.ts";
import { writeDurably } from "#lab/record.ts";
import { afterDeath, freshRestartState } from "#lab/restart.ts";

/** How often a program that another supervisor started is looked at; our own children tell us when they end. */
const adoptedPollMs = millis(100);

/** Keeps one program running until aborted; the program itself is then left alone. */
export async function keepRunning(
  program: Program,
  place: LabPlace,
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  let state = freshRestartState;
  const log = machine.log.with({ program: program.name });
  while (!signal.aborted) {
    if (hasNoPower(program, place)) {
      state = freshRestartState;
      await machine.clock.sleep(adoptedPollMs, signal);
      continue;
    }
    const began = machine.clock.monotonic();
    const running = findRunning(program, place.name, machine);
    if (running === undefined) {
      await runOnce(program, place, machine, signal);
    } else {
      log.info("adopted", running);
      notePid(program, place, running);
      while (isAlive(running)) await machine.clock.sleep(adoptedPollMs, signal);
    }
    const next = afterDeath(state, millis(machine.clock.monotonic() - began));
    state = next.state;
    log.warn("ended, starting again", { delayMs: next.delayMs });
    if (next.delayMs > 0) await machine.clock.sleep(next.delayMs, signal);
  }
}

const hasNoPower = (program: Program, place: LabPlace): boolean =>
  [...nodesOff(place)].some((node) => program.name === managerOf(node));

/**
 * The managers' group and the command line tell, not the pid file, which a supervisor killed right after starting
 * a program had no time to write. The eldest: a program's children show its command line for a moment.
 */
export function findRunning(program: Program, lab: string, machine: LabMachine): ProcessMark | undefined {
  const marks = machine.cgroups
    .open(managersCgroup(lab))
    .pids()
    .filter((pid) => endsWith(commandOf(pid), program.identity))
    .flatMap((pid) => {
      const startTime = startTimeOf(pid);
      return startTime === undefined ? [] : [{ pid, startTime }];
    });
  return marks.sort((a, b) => a.startTime - b.startTime || a.pid - b.pid)[0];
}

function endsWith(command: readonly string[], identity: readonly string[]): boolean {
  const tail = command.slice(-identity.length);
  return tail.length === identity.length && tail.every((word, index) => word === identity[index]);
}

/** Resolves when it has ended. The child is in a session of its own and writes to a file: it outlives us. */
async function runOnce(
  program: Program,
  place: LabPlace,
  machine: LabMachine,
  signal: AbortSignal,
): Promise<void> {
  const paths = labPaths(place);
  mkdirSync(paths.logsDir, { recursive: true });
  const log = openSync(`${paths.logsDir}/${program.name}.log`, "a");
  const child = spawn(program.file, program.args, { detached: true, cwd: "/", stdio: ["ignore", log, log] });
  closeSync(log);
  const ended = once(child, "exit", { signal });
  // Its node may have been powered off while it was being started, too late for who does that to see it.
  if (hasNoPower(program, place)) child.kill("SIGKILL");
  const startTime = child.pid === undefined ? undefined : startTimeOf(child.pid);
  if (child.pid !== undefined && startTime !== undefined) {
    notePid(program, place, { pid: child.pid, startTime });
  }
  try {
    await ended;
  } catch (error) {
    child.unref();
    signal.throwIfAborted();
    machine.log.error("cannot be started", { program: program.name, error });
  }
}

function notePid(program: Program, place: LabPlace, mark: ProcessMark): void {
  writeDurably(`${labPaths(place).pidsDir}/${program.name}.json`, JSON.stringify(mark));
}
