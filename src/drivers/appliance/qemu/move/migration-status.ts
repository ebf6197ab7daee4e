import { isNumber, isText, optional, readJson, shape } from "#base/shape.ts";
import { millis } from "#base/units.ts";
import type { Qmp } from "../vm.ts";
import type { SendProgress } from "./convergence.ts";

const isAnswer = shape({
  status: optional(isText),
  downtime: optional(isNumber),
  "total-time": optional(isNumber),
  "error-desc": optional(isText),
  ram: optional(
    shape({
      total: isNumber,
      remaining: isNumber,
      transferred: isNumber,
      "dirty-sync-count": isNumber,
    }),
  ),
});

/** What QEMU says of the migration it is in, or was in last. */
export type MigrationStatus = {
  /** "none": there was none. */
  readonly status: string;
  readonly downtimeMs?: number;
  readonly error?: string;
  readonly progress: SendProgress;
};

export async function queryMigration(qmp: Qmp, signal: AbortSignal): Promise<MigrationStatus> {
  const answer = await qmp.execute("query-migrate", {}, signal);
  const told = readJson(JSON.stringify(answer), isAnswer, "QEMU");
  const { status = "none", downtime, ram } = told;
  return {
    status,
    ...(downtime === undefined ? {} : { downtimeMs: downtime }),
    ...(told["error-desc"] === undefined ? {} : { error: told["error-desc"] }),
    progress: {
      pass: ram?.["dirty-sync-count"] ?? 0,
      remainingBytes: ram?.remaining ?? 0,
      totalBytes: ram?.total ?? 0,
      transferredBytes: ram?.transferred ?? 0,
      elapsedMs: millis(told["total-time"] ?? 0),
    },
  };
}

const isState = shape({ status: isText });

/** "running", "paused", "inmigrate", "postmigrate", … */
export async function runState(qmp: Qmp, signal: AbortSignal): Promise<string> {
  const answer = await qmp.execute("query-status", {}, signal);
  return readJson(JSON.stringify(answer), isState, "QEMU").status;
}
