import { readFileSync, renameSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { groupsIn, heaviestIn, roomIn } from "#drivers/system/cgroups/shared.ts";
import { setPriorityOfAll } from "./priorities.ts";
import { endTurns } from "./slot-threads.ts";

/**
 * What is to be done to put back one thing that was changed in favour of dispatched machines. weigh: a group above
 * those of several owners weighs as much as the heaviest directly in it, and `usual` at least. room: one has as much of
 * real-time priority as those directly in it together. turns: threads of the group whose list this is, and of those
 * below it, are ordinary, and no more on this processor only. frozen: the group of this file, an empty one, is removed.
 */
export type PutBack =
  | { readonly kind: "write"; readonly file: string; readonly value: string }
  | { readonly kind: "weigh"; readonly file: string; readonly usual: number }
  | { readonly kind: "room"; readonly file: string }
  | { readonly kind: "frozen"; readonly file: string }
  | { readonly kind: "turns"; readonly file: string; readonly processor: number }
  | { readonly kind: "nice"; readonly pid: number; readonly startTime: string; readonly value: number };

/** Nothing else is ever written to, whatever the record says: it is carried out with all our rights. */
const files = ["cpu.shares", "cpu.weight", "cpu.cfs_quota_us", "cpu.max", "cpu.rt_runtime_us"];
const lists = ["tasks", "cgroup.threads"];
const freezers = ["freezer.state"];
const value = /^(-?\d+|max)$/;

const fileIn = (directory: string): string => join(directory, "raised");

/**
 * Written down before anything is changed, whole: whoever outlives the owner and its dispatcher (the watchdog, or the
 * next owner) puts back what is in it, in its order, as machines that nobody stops must not come before all others.
 */
export function recordRaised(directory: string, entries: readonly PutBack[]): void {
  const file = fileIn(directory);
  if (entries.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  writeFileSync(`${file}.new`, entries.map(lineOf).join(""), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function lineOf(entry: PutBack): string {
  if (entry.kind === "write") return `write\t${entry.file}\t${entry.value}\n`;
  if (entry.kind === "weigh") return `weigh\t${entry.file}\t${entry.usual}\n`;
  if (entry.kind === "room" || entry.kind === "frozen") return `${entry.kind}\t${entry.file}\t0\n`;
  if (entry.kind === "turns") return `turns\t${entry.file}\t${entry.processor}\n`;
  return `nice\t${entry.pid}\t${entry.startTime}\t${entry.value}\n`;
}

/** What an owner that is dead had changed; its directory is ours. */
export function putBackRaised(directory: string): void {
  let text: string;
  try {
    text = readFileSync(fileIn(directory), "utf8");
  } catch {
    return;
  }
  const trees = cgroupTrees();
  for (const line of text.split("\n")) {
    const [kind, first = "", second = "", third = ""] = line.split("\t");
    try {
      if (kind === "nice" && readStartTime(Number(first)) === second) {
        setPriorityOfAll(Number(first), Number(third));
      }
      if (!value.test(second)) continue;
      if (kind === "frozen" && isOfGroup(first, freezers, trees)) rmdirSync(dirname(first));
      if (kind === "turns" && isOfGroup(first, lists, trees)) endTurnsIn(first, Number(second));
      if (!isOfGroup(first, files, trees)) continue;
      if (kind === "write") writeFileSync(first, second, { flag: "r+" });
      if (kind === "weigh") writeFileSync(first, heaviestIn(first, second), { flag: "r+" });
      if (kind === "room") writeFileSync(first, roomIn(first), { flag: "r+" });
    } catch {
      // It is gone, and with it what was changed of it.
    }
  }
}

function isOfGroup(file: string, names: readonly string[], trees: readonly string[]): boolean {
  return (
    names.includes(basename(file)) &&
    normalize(file) === file &&
    trees.some((tree) => file.startsWith(`${tree}/`) && dirname(file) !== tree)
  );
}

function endTurnsIn(file: string, processor: number): void {
  for (const line of readFileSync(file, "utf8").split("\n"))
    if (line !== "") endTurns(Number(line), processor);
  for (const group of groupsIn(dirname(file))) endTurnsIn(join(group, basename(file)), processor);
}

/** Where control groups are mounted. */
function cgroupTrees(): readonly string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(" ")[4] ?? "");
}
