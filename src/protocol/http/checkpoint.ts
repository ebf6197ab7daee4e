import { z } from "zod";

export const checkpointRequestBodySchema = z.strictObject({
  appliances: z
    .array(z.string())
    .default([])
    .meta({ description: "Their names; none: all virtual machines." }),
  together: z
    .boolean()
    .default(false)
    .meta({ description: "At the same moment: all are held until the last of them is." }),
});

/** A request for checkpoints as it is now. */
export const checkpointRequestSchema = z.strictObject({
  id: z.string().meta({ description: "Of each checkpoint that is taken for it, too." }),
  ensemble: z.string(),
  appliances: z.array(z.string()),
  together: z.boolean(),
  state: z.enum(["taking", "done", "failed"]),
  requestedAtMs: z.number(),
  message: z.string().optional().meta({ description: "Why it failed." }),
});
export type CheckpointRequestStatus = z.infer<typeof checkpointRequestSchema>;

/** A complete checkpoint. */
export const checkpointStatusSchema = z.strictObject({
  id: z.string(),
  appliance: z.string(),
  takenAtMs: z.number(),
  /** Sent and stored for it: without what it shares with the ones before it. */
  storedBytes: z.number(),
  /** Of that, before it was compressed. */
  contentBytes: z.number(),
  after: z
    .string()
    .optional()
    .meta({ description: "The checkpoint it only differs from; none: it is full." }),
  group: z.string().optional().meta({ description: "Taken at the same moment as those with this name." }),
  pauseMs: z.number().meta({ description: "For so long the machine was held." }),
  copies: z.array(z.string()).meta({ description: "Hosts that have all of it." }),
  store: z.string().optional().meta({ description: "Where it is instead." }),
});
export type CheckpointStatus = z.infer<typeof checkpointStatusSchema>;

/** Content in a store that nothing needs any more. */
export const storeLeftoverSchema = z.strictObject({
  appliance: z.string(),
  place: z.string().meta({ description: "Below the store's address; all that is there is of this one." }),
  host: z.string().meta({ description: "Who removes it." }),
  sinceMs: z.number().optional().meta({
    description: "Since then all of it is to go; none: checkpoints that are needed are there, too.",
  }),
  message: z.string().optional().meta({ description: "What keeps it; it is tried on." }),
});
export type StoreLeftover = z.infer<typeof storeLeftoverSchema>;

export const checkpointsSchema = z.strictObject({
  checkpoints: z.array(checkpointStatusSchema),
  requests: z.array(checkpointRequestSchema),
  leftovers: z.array(storeLeftoverSchema),
});
export type Checkpoints = z.infer<typeof checkpointsSchema>;

export const restoreBodySchema = z.strictObject({
  appliance: z.string(),
  checkpoint: z.string().optional().meta({ description: "Its id; none: the newest." }),
});
