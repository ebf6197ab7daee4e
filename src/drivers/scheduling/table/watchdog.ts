import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { capacity, offsets, word } from "./memory.ts";

/** A dispatcher whose heart has not beaten for so long is killed, and what it had stopped continued. */
export const hangsAfterMs = 1000;
/** A watchdog that has not looked for so long is replaced. */
export const watchdogStillMs = 3000;

/** The command line of watchdog.pl, which knows nothing of the layout of the file but these offsets in bytes. */
export function watchdogArguments(
  program: string,
  file: string,
  directory: string,
  dispatcher: number,
): string[] {
  const bytesOf = (words: number): string => String(4 * words);
  return [
    program,
    file,
    directory,
    String(dispatcher),
    readStartTime(dispatcher) ?? "0",
    bytesOf(offsets.header + word.heartbeat),
    bytesOf(offsets.header + word.watchdogHeartbeat),
    bytesOf(offsets.header + word.ownerPid),
    bytesOf(offsets.stopped),
    bytesOf(offsets.jobKinds),
    bytesOf(offsets.jobPids),
    bytesOf(offsets.jobStarts),
    bytesOf(offsets.names),
    String(capacity.nameBytes),
    String(capacity.jobs),
    bytesOf(offsets.header + word.jobsUsed),
    String(hangsAfterMs),
  ];
}
