import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { exactly, isFlag, isNumber, isText, listOf, mapOf, oneOf, optional, shape } from "#base/shape.ts";
import type { Millis } from "#base/units.ts";
import type { AppliancePlan } from "#protocol/host-plan.ts";

/**
 * What is known of an appliance beyond what the kernel and its supervisor know; in its slot's directory, written
 * before anything is done. A slot without one belongs to no appliance.
 *
 *   created → running ⇄ stopped        any → destroying → gone
 */
export type TaskRecord = {
  /** The plan it was made from; CPU and memory are those of the last resize. */
  plan: AppliancePlan;
  phase: "created" | "running" | "stopped" | "destroying";
  /** Number of the last run asked for; 0: none yet. */
  run: number;
  /** By the driver itself, since it was last started by hand. */
  restarts: number;
  /** The pause before the present run, if it is a restart. */
  lastDelayMs?: Millis | undefined;
  /** Out-of-memory kills in its group when the present run began. */
  oomKills: number;
  suspended: boolean;
  /** How the run of that number ended, once it was seen. */
  end?: RunEnd | undefined;
};

export type RunEnd = {
  readonly run: number;
  readonly code: number;
  readonly at: Millis;
  readonly message?: string | undefined;
  /** Wall time of the restart that follows, if one does. */
  readonly restartAt?: Millis | undefined;
};

/** Written by ourselves from a checked plan: what is checked here is that the file is whole and is one of ours. */
const isPlan = shape({
  id: isText,
  generation: isText,
  command: listOf(isText),
  env: mapOf(isText),
  files: listOf(exactly({ path: isText, content: isText, mode: isNumber })),
  restart: exactly({ when: isText, backoffMsMin: isNumber, backoffMsMax: isNumber }),
});
const isRecord = exactly({
  plan: isPlan,
  phase: oneOf("created", "running", "stopped", "destroying"),
  run: isNumber,
  restarts: isNumber,
  lastDelayMs: optional(isNumber),
  oomKills: isNumber,
  suspended: isFlag,
  end: optional(
    exactly({
      run: isNumber,
      code: isNumber,
      at: isNumber,
      message: optional(isText),
      restartAt: optional(isNumber),
    }),
  ),
});

const fileName = "appliance.json";

/** Whole or not at all, also when cut off. */
export function writeRecord(directory: string, record: TaskRecord): void {
  const file = join(directory, fileName);
  writeFileSync(`${file}.new`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** Undefined if there is none, or none that can be understood: nothing runs by it then. */
export function readRecord(directory: string): TaskRecord | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, fileName), "utf8");
  } catch {
    return undefined;
  }
  try {
    const record: unknown = JSON.parse(text);
    return isRecord(record) ? (record as unknown as TaskRecord) : undefined;
  } catch {
    return undefined;
  }
}
