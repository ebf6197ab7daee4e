import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { setPriorityOfAll } from "./priorities.ts";

/** What is to be done to put back one thing that was changed in favour of dispatched machines. */
export type PutBack =
  | { readonly kind: "write"; readonly file: string; readonly value: string }
  | { readonly kind: "nice"; readonly pid: number; readonly startTime: string; readonly value: number };

const fileIn = (directory: string): string => join(directory, "raised");

/**
 * Written down before anything is changed, whole: whoever outlives the owner and its dispatcher (the watchdog, or the
 * next owner) puts back what is in it, as machines that nobody stops must not come before all others.
 */
export function recordRaised(directory: string, entries: readonly PutBack[]): void {
  const file = fileIn(directory);
  if (entries.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  const lines = entries.map((entry) =>
    entry.kind === "write"
      ? `write\t${entry.file}\t${entry.value}\n`
      : `nice\t${entry.pid}\t${entry.startTime}\t${entry.value}\n`,
  );
  writeFileSync(`${file}.new`, lines.join(""));
  renameSync(`${file}.new`, file);
}

/** What an owner that is dead had changed. */
export function putBackRaised(directory: string): void {
  let text: string;
  try {
    text = readFileSync(fileIn(directory), "utf8");
  } catch {
    return;
  }
  for (const line of text.split("\n")) {
    const [kind, first = "", second = "", third = ""] = line.split("\t");
    try {
      if (kind === "write") writeFileSync(first, second, { flag: "r+" });
      if (kind === "nice" && readStartTime(Number(first)) === second) {
        setPriorityOfAll(Number(first), Number(third));
      }
    } catch {
      // It is gone, and with it what was changed of it.
    }
  }
}
