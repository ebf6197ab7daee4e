import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { millis } from "#base/units.ts";
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

const time = z.number().transform(millis);
const schema = z.strictObject({
  plan: z
    .looseObject({
      id: z.string(),
      generation: z.string(),
      command: z.array(z.string()),
      env: z.record(z.string(), z.string()),
      files: z.array(z.strictObject({ path: z.string(), content: z.string(), mode: z.number() })),
      restart: z.strictObject({ when: z.string(), backoffMsMin: z.number(), backoffMsMax: z.number() }),
    })
    // Written by ourselves from a checked plan: what is checked here is that the file is whole and is one of ours.
    .transform((plan) => plan as unknown as AppliancePlan),
  phase: z.enum(["created", "running", "stopped", "destroying"]),
  run: z.number(),
  restarts: z.number(),
  lastDelayMs: time.optional(),
  oomKills: z.number(),
  suspended: z.boolean(),
  end: z
    .strictObject({
      run: z.number(),
      code: z.number(),
      at: time,
      message: z.string().optional(),
      restartAt: time.optional(),
    })
    .optional(),
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
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
