import { z } from "zod";

/**
 * One change asked for, from acceptance to its end. Accepted means durable: an operation survives every restart.
 *
 *   running ──► done | failed | cancelled        an up:   accepted → starting → connecting
 *                                              a down: accepted → stopping
 *       recover (by itself, after the loss of a host):  accepted → starting → connecting
 *                                             a drain: accepted → moving
 *                         a resize, suspend or resume: accepted → adapting
 *                                         a migration: accepted → moving
 *
 * It is placed before it is accepted: what has no place is refused.
 */
export const operationPhases = [
  "accepted",
  "starting",
  "connecting",
  "stopping",
  "moving",
  "adapting",
] as const;

export const operationSchema = z.strictObject({
  id: z.string(),
  kind: z.enum(["up", "down", "recover", "drain", "resize", "suspend", "resume", "migrate", "restore"]),
  /** What it changes: an ensemble, or, for a drain, a host. */
  ensemble: z.string().optional(),
  host: z.string().optional(),
  state: z.enum(["running", "done", "failed", "cancelled"]),
  phase: z.enum(operationPhases),
  /** Appliances that are as desired, of all that the operation is about. */
  progress: z.strictObject({ done: z.int(), total: z.int() }),
  /** What it is waiting for, or how it ended. For people. */
  message: z.string(),
  error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
  createdAtMs: z.number(),
  endedAtMs: z.number().optional(),
});
export type Operation = z.infer<typeof operationSchema>;
