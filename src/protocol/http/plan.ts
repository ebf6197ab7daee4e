import { z } from "zod";
import { trafficSchema } from "./status.ts";
import { vmStatusSchema } from "./vm-status.ts";

/** What `up` would do, found by the same code as `up` and without doing it. */
export const planChangeSchema = z.strictObject({
  /** "add", "remove" and "change" are of what is neither appliance nor link: classes, monitors, strategies. */
  action: z.enum([
    "create",
    "destroy",
    "restart",
    "resize",
    "move",
    "link-add",
    "link-remove",
    "link-change",
    "add",
    "remove",
    "change",
  ]),
  subject: z.string(),
  /** Why, and from what to what. */
  detail: z.string(),
});

export const planPlacementSchema = z.strictObject({
  appliance: z.string(),
  host: z.string(),
  reason: z.string(),
  /** Of CPU time per period, and what would keep it. */
  reservation: z
    .strictObject({ executionUs: z.number(), periodUs: z.number(), enforcement: z.string() })
    .optional(),
  traffic: trafficSchema.optional(),
  /** Of a virtual machine, as it is asked for. */
  vm: vmStatusSchema.optional(),
});

export const planLinkSchema = z.strictObject({
  from: z.string(),
  to: z.string(),
  network: z.string(),
  connection: z.enum(["trivial", "direct", "intra-switch", "inter-switch", "inter-router"]),
  /** Hosts and devices the frames pass, ends included. */
  path: z.array(z.string()),
  bandwidthBps: z.number().optional(),
});

/** What cannot be kept: which promise, what is binding, what would have to change. */
export const refusalSchema = z.strictObject({
  subject: z.string(),
  message: z.string(),
  remedy: z.string().optional(),
});

export const planResultSchema = z.strictObject({
  ensemble: z.string(),
  satisfiable: z.boolean(),
  changes: z.array(planChangeSchema),
  placements: z.array(planPlacementSchema),
  links: z.array(planLinkSchema),
  refusals: z.array(refusalSchema),
});
export type PlanResult = z.infer<typeof planResultSchema>;

/** Why an appliance is where it is: every host weighed. */
export const explanationSchema = z.strictObject({
  ensemble: z.string(),
  appliances: z.array(
    z.strictObject({
      appliance: z.string(),
      host: z.string().optional(),
      /** Best first. `score`: what all of it would cost more with the appliance there; absent: not allowed there. */
      candidates: z.array(
        z.strictObject({ host: z.string(), score: z.number().optional(), verdict: z.string() }),
      ),
      binding: z.string().optional(),
    }),
  ),
  links: z.array(
    z.strictObject({
      from: z.string(),
      to: z.string(),
      connection: z.string(),
      path: z.array(z.string()),
      /** The physical link with least room left on the path. */
      binding: z.string().optional(),
    }),
  ),
});
export type Explanation = z.infer<typeof explanationSchema>;
