import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exactly, isNumber, isText, listOf, oneOf, optional } from "#base/shape.ts";
import type { TunnelRecord } from "./decide.ts";

const isRecords = listOf(
  exactly({
    device: isText,
    peerSite: isText,
    kind: oneOf("wireguard", "openvpn"),
    generation: optional(isText),
    process: optional(exactly({ pid: isNumber, startTime: isText })),
  }),
);

const fileIn = (stateDir: string): string => join(stateDir, "tunnels.json");

/** Whole or not at all; no tunnels, no file. */
export function writeRecords(stateDir: string, records: readonly TunnelRecord[]): void {
  const file = fileIn(stateDir);
  if (records.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.new`, JSON.stringify(records), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** None if the file is missing or not ours to understand: what is in the kernel is then found by its alias. */
export function readRecords(stateDir: string): readonly TunnelRecord[] {
  rmSync(`${fileIn(stateDir)}.new`, { force: true });
  try {
    const records: unknown = JSON.parse(readFileSync(fileIn(stateDir), "utf8"));
    return isRecords(records) ? (records as unknown as readonly TunnelRecord[]) : [];
  } catch {
    return [];
  }
}
