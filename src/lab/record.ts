import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Topology } from "#model/topology.ts";

/** What a lab is, on disk before anything of it is made. Removal reads it, but does without when it is torn. */
export type LabRecord = {
  readonly version: 1;
  readonly lab: string;
  readonly runDir: string;
  readonly topology: Topology;
};

/** Whole or not at all: written beside, synced, renamed, and the directory synced. */
export function writeDurably(file: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  const beside = `${file}.new`;
  const fd = openSync(beside, "w", mode);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(beside, file);
  const directory = openSync(dirname(file), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

export const readRecord = (file: string): LabRecord | undefined => readJson(file, isRecord);

/** Undefined when the file is absent, torn, or not what `isWanted` accepts. */
export function readJson<Value>(
  file: string,
  isWanted: (value: unknown) => value is Value,
): Value | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    return isWanted(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is LabRecord {
  return (
    typeof value === "object" &&
    value !== null &&
    "version" in value &&
    value.version === 1 &&
    "lab" in value &&
    "runDir" in value &&
    "topology" in value
  );
}
