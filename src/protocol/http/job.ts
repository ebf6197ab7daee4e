import { z } from "zod";

export const jobStates = [
  "queued",
  "staging-in",
  "running",
  "staging-out",
  "done",
  "failed",
  "cancelled",
] as const;

/** A job as it is now. */
export const jobStatusSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  state: z.enum(jobStates),
  /** "<ensemble>/<appliance>"; of a machine of its own, the one that is made for it. */
  appliance: z.string(),
  /** It runs in a machine of its own. */
  ownMachine: z.boolean(),
  /** Of the newest attempt. */
  host: z.string().optional(),
  attempt: z.int().meta({ description: "Of the newest attempt; 0: none yet." }),
  attemptsMax: z.int(),
  /** It is to end. */
  cancelled: z.boolean(),
  submittedAtMs: z.number(),
  startedAtMs: z.number().optional().meta({ description: "Of the newest attempt." }),
  endedAtMs: z.number().optional(),
  exitCode: z.int().optional(),
  message: z.string().optional().meta({ description: "Why it waits, or how it ended." }),
  /** No attempt before. */
  dueAtMs: z.number().optional(),
  failedAttempts: z.array(
    z.strictObject({
      attempt: z.int(),
      host: z.string().optional(),
      endedAtMs: z.number(),
      exitCode: z.int().optional(),
      message: z.string(),
    }),
  ),
});
export type JobStatus = z.infer<typeof jobStatusSchema>;

export const jobStreams = ["stdout", "stderr"] as const;
export type JobStream = (typeof jobStreams)[number];

/** A piece of what a job wrote. */
export const jobOutputSchema = z.strictObject({
  attempt: z.int(),
  dataBase64: z.base64(),
  fromByte: z
    .int()
    .meta({ description: "Of the stream; more than was asked for, where older output is kept no more." }),
  nextByte: z.int().meta({ description: "Where to go on." }),
  isOver: z.boolean().meta({ description: "Nothing more comes, and this is the end." }),
});
export type JobOutput = z.infer<typeof jobOutputSchema>;
