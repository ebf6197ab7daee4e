import * as z from "zod";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import {
  bytesSchema,
  bandwidthSchema,
  cpuShareSchema,
  durationSchema,
  listOf,
  nameSchema,
  plainText,
  wholeNumber,
} from "#formats/fields.ts";
import { formatLimits } from "#formats/limits.ts";
import { demandSchema } from "#formats/scenario-demand.ts";
import { faultFields } from "#formats/scenario-fault.ts";
import { parseRate } from "#formats/scenario-units.ts";
import { topologySchema } from "#formats/topology-schema.ts";

/** The vocabulary of scenario files: a cloud that never was, and what happens in it. */
const fileSchema = z
  .string({ error: "a file's path" })
  .min(1, { error: "a file's path" })
  .max(formatLimits.pathLength, { error: `a path of at most ${formatLimits.pathLength} characters` });

const hostListSchema = listOf(nameSchema, "a list of hosts, such as [a, b]")
  .min(1, { error: "at least one host" })
  .max(formatLimits.nodes, { error: `at most ${formatLimits.nodes} hosts` });

const cloudSchema = z.strictObject(
  {
    topology: z
      .union([fileSchema, topologySchema], { error: "a topology file's path, or a topology" })
      .optional()
      .describe("A file beside this one, or the same vocabulary written here."),
    snapshot: fileSchema.optional().describe("A cloud as GET /v1/snapshot told it, with all it runs."),
    hosts: z
      .union([wholeNumber(1, formatLimits.nodes), hostListSchema], {
        error: "how many hosts each site has, or a list of their names",
      })
      .optional(),
    sites: wholeNumber(1, 1000).optional().describe("With hosts: how many sites; 1 unless told."),
    cpu: cpuShareSchema.optional().describe("With hosts: of each; 400% unless told."),
    memory: bytesSchema.optional().describe("With hosts: of each; 16GiB unless told."),
    uplink: bandwidthSchema.optional().describe("With hosts: of each; 1Gbit/s unless told."),
  },
  { error: "a map such as {hosts: 4}, {topology: rack.yaml} or {snapshot: cloud.json}" },
);

const ensembleSource = z.union([fileSchema, ensembleSchema], {
  error: "an ensemble file's path, or an ensemble",
});

const namesSchema = z.union([nameSchema, listOf(nameSchema, "a list of names")], {
  error: "a name, or a list of names",
});

/** One of these in every step; which fields go with which is checked when it is built. */
const stepSchema = z.strictObject(
  {
    at: durationSchema.describe("From the beginning of the run."),
    up: ensembleSource.optional().describe("Bring up, or change, this ensemble."),
    down: namesSchema.optional(),
    cancel: plainText.optional().describe("The newest operation that runs on this ensemble or host."),
    cordon: namesSchema.optional(),
    uncordon: namesSchema.optional(),
    drain: namesSchema.optional(),
    forget: namesSchema.optional(),
    expect: z
      .union([z.string(), listOf(z.string({ error: "a sentence" }), "a list of sentences")], {
        error: "a sentence such as: web on a1",
      })
      .optional()
      .describe("What must be so at this moment; beside what is asked of the managers: refused."),
    note: z.string({ error: "text" }).optional().describe("Printed in the run's events."),
    ...faultFields,
  },
  { error: "a map such as {at: 10s, up: shop.yaml}" },
);

const rateSchema = z
  .string({ error: "a rate such as 2/min" })
  .superRefine((value, context) => {
    if (!parseRate(value).ok) context.addIssue({ code: "custom", message: "a rate such as 2/min" });
  })
  .meta({ examples: ["2/min", "0.5/s"] });

const loadSchema = z.strictObject(
  {
    ensemble: ensembleSource.describe("The template; each that arrives is named after it: job-1, job-2, …"),
    rate: rateSchema.describe("Arrivals on average, independent of each other (Poisson)."),
    lifetime: z
      .union([durationSchema, z.strictObject({ mean: durationSchema })], {
        error: "a duration such as 10m, or {mean: 10m}",
      })
      .optional()
      .describe("Fixed, or exponential with this mean; for ever when absent."),
    from: durationSchema.optional().describe("The beginning unless told."),
    until: durationSchema.optional().describe("The end unless told."),
    most: wholeNumber(1, 1_000_000).optional().describe("No more than so many arrive."),
  },
  { error: "a map such as {ensemble: job.yaml, rate: 2/min, lifetime: 10m}" },
);

export const reportParts = ["chart", "table", "events", "operations"] as const;

export const scenarioSchema = z.strictObject(
  {
    scenario: nameSchema.describe("What it is called."),
    description: z.string({ error: "text" }).max(4096, { error: "at most 4096 characters" }).optional(),
    duration: durationSchema.describe("Virtual time it takes."),
    seed: wholeNumber(0, 2 ** 31 - 1)
      .optional()
      .describe("Used unless --seed tells another; 1."),
    cloud: cloudSchema.optional().describe("2 sites of 2 hosts unless told."),
    policy: z
      .strictObject(
        {
          placement: z.enum(["pack", "spread"]).optional().describe("spread unless told."),
          consolidate: z.boolean({ error: "true or false" }).optional().describe("false unless told."),
        },
        { error: "a map such as {placement: pack, consolidate: true}" },
      )
      .optional(),
    steps: listOf(stepSchema, "a list of steps, such as [{at: 10s, up: shop.yaml}]")
      .max(100_000, { error: "at most 100000 steps" })
      .optional(),
    load: listOf(loadSchema, "a list of loads").optional(),
    demand: listOf(demandSchema, "a list of demands, such as [{of: '*', constant: 50%}]")
      .optional()
      .describe("What appliances would use of a CPU; the first that names an appliance holds."),
    report: listOf(z.enum(reportParts), `a list of ${reportParts.join(", ")}`)
      .optional()
      .describe("What is printed after the run; all unless told."),
  },
  { error: "a map that begins with scenario: NAME" },
);

export type ScenarioDocument = z.input<typeof scenarioSchema>;
export type StepDocument = z.input<typeof stepSchema>;
export type LoadDocument = z.input<typeof loadSchema>;
export type CloudDocument = z.input<typeof cloudSchema>;
