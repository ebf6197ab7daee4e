import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { TunnelRecord } from "./decide.ts";

const schema = z.array(
  z.strictObject({
    device: z.string(),
    peerSite: z.string(),
    kind: z.enum(["wireguard", "openvpn"]),
    generation: z.string().optional(),
    process: z.strictObject({ pid: z.number(), startTime: z.string() }).optional(),
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
    return schema.parse(JSON.parse(readFileSync(fileIn(stateDir), "utf8"))) as readonly TunnelRecord[];
  } catch {
    return [];
  }
}
