import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { readStartTime } from "#drivers/appliance/task/processes.ts";
import { setPriorityOfAll } from "./priorities.ts";

/**
 * What is to be done to put back one thing that was changed in favour of dispatched machines. weigh: a group above
 * those of several owners weighs as much as the heaviest directly in it, and `usual` at least.
 */
export type PutBack =
  | { readonly kind: "write"; readonly file: string; readonly value: string }
  | { readonly kind: "weigh"; readonly file: string; readonly usual: number }
  | { readonly kind: "nice"; readonly pid: number; readonly startTime: string; readonly value: number };

/** Nothing else is ever written to, whatever the record says: it is carried out with all our rights. */
const files = ["cpu.shares", "cpu.weight", "cpu.cfs_quota_us", "cpu.max"];
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
      if (!isOfGroup(first, trees) || !value.test(second)) continue;
      if (kind === "write") writeFileSync(first, second, { flag: "r+" });
      if (kind === "weigh") writeFileSync(first, heaviestIn(first, second), { flag: "r+" });
    } catch {
      // It is gone, and with it what was changed of it.
    }
  }
}

function isOfGroup(file: string, trees: readonly string[]): boolean {
  return (
    files.includes(basename(file)) &&
    normalize(file) === file &&
    trees.some((tree) => file.startsWith(`${tree}/`) && dirname(file) !== tree)
  );
}

function heaviestIn(file: string, usual: string): string {
  const group = dirname(file);
  const weights = readdirSync(group, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => Number(readFileSync(join(group, entry.name, basename(file)), "utf8")));
  return String(Math.max(Number(usual), ...weights));
}

/** Where control groups are mounted. */
function cgroupTrees(): readonly string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(" ")[4] ?? "");
}
