import { formatBytes, millis } from "#base/units.ts";
import type { Bytes, Millis } from "#base/units.ts";
import type { JournalEntry } from "#drivers/appliance/task/journal.ts";
import type { TaskRecord } from "#drivers/appliance/task/record.ts";
import type { ApplianceState } from "#protocol/host-report.ts";

export const killedCode = 137;

const signalNames: Readonly<Record<number, string>> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  14: "SIGALRM",
  15: "SIGTERM",
};

/** What an appliance's state is, from what was asked of it, what its supervisor wrote last, and whether that lives. */
export function stateOf(
  record: TaskRecord,
  last: JournalEntry | undefined,
  supervisorLives: boolean,
): ApplianceState {
  const over = !supervisorLives || last === undefined || last.what === "ended" || last.what === "failed";
  switch (record.phase) {
    case "created":
      return record.suspended ? "suspended" : "created";
    case "destroying":
      return "stopping";
    case "stopped":
      return over ? "stopped" : "stopping";
    case "running":
      if (record.end?.run === record.run) {
        if (record.end.restartAt !== undefined) return "backoff";
        return record.end.code === 0 ? "exited" : "failed";
      }
      if (record.suspended) return "suspended";
      if (last?.what === "fenced") return "fenced";
      return last?.what === "running" ? "running" : "starting";
    default:
      return record.phase satisfies never;
  }
}

/** How a run ended, if it did: its last journal entry, or that its supervisor died without another word. */
export function endOf(
  entries: readonly JournalEntry[],
  run: number,
  supervisorLives: boolean,
  now: Millis,
): { code: number; at: Millis; message?: string } | undefined {
  const last = entries.findLast((entry) => entry.run === run);
  if (last?.what === "ended") return { code: last.code, at: last.at };
  if (last?.what === "failed")
    return { code: last.code, at: last.at, message: `Cannot ${last.message}, its command` };
  if (supervisorLives) return undefined;
  const broken = entries.findLast((entry) => entry.what === "broken");
  if (broken !== undefined) {
    return { code: broken.code, at: broken.at, message: `Cannot set up its machine: ${broken.message}` };
  }
  return { code: killedCode, at: now, message: "Its machine was killed from outside" };
}

/** For people; undefined where there is nothing to explain. */
export function endMessage(
  code: number,
  outOfMemory: boolean,
  memoryLimit: Bytes | undefined,
): string | undefined {
  if (code === 0) return undefined;
  if (outOfMemory) {
    const limit =
      memoryLimit === undefined ? "its host's is reached" : `its limit is ${formatBytes(memoryLimit)}`;
    return `Out of memory: ${limit}`;
  }
  if (code > 128) return `Its command was killed by ${signalNames[code - 128] ?? `signal ${code - 128}`}`;
  return `Its command ended with exit code ${code}`;
}

/** How long a run lasted; 0 if its program never took over. */
export function ranMs(entries: readonly JournalEntry[], run: number, endedAt: Millis): Millis {
  const began = entries.find((entry) => entry.run === run && entry.what === "running")?.at;
  return millis(began === undefined ? 0 : Math.max(0, endedAt - began));
}
