import * as z from "zod";
import {
  absolutePathSchema,
  bandwidthSchema,
  bytesSchema,
  cpuSchema,
  durationSchema,
  labelsSchema,
  listOf,
  nameSchema,
  plainText,
  wholeNumber,
} from "#formats/fields.ts";
import { formatLimits } from "#formats/limits.ts";
import {
  adjustmentsSchema,
  classesSchema,
  commandSchema,
  enforcementSchema,
  monitorsSchema,
  strategiesSchema,
  teamsSchema,
  trafficSchema,
} from "#formats/reservation-schema.ts";
import { hostLossPolicies, restartWhens, restartWords } from "#formats/restart.ts";
import { vmSchema } from "#formats/vm-schema.ts";

/** The vocabulary of ensemble files: what people write, in YAML, JSON, and over HTTP. */
const imageExpected =
  "a task's root by URL such as dir:///srv/roots/web, or a vm's image by name such as debian or by URL";
const envNameExpected = "a variable's name of letters, digits and _, not first a digit";
const modeExpected = "permissions in octal digits, such as 0644";

const fileSchema = z.union(
  [
    z.string(),
    z.strictObject({
      content: z.string({ error: "the file's content as text" }),
      mode: z
        .union([z.string(), z.number()], { error: modeExpected })
        .refine((value) => /^(0o?)?[0-7]{3,4}$/.test(String(value)), { error: modeExpected })
        .optional()
        .describe("Octal digits, as chmod takes them; 0644 unless told."),
    }),
  ],
  { error: "the file's content as text, or {content, mode}" },
);

const restartSchema = z.union(
  [
    z
      .enum(restartWords)
      .describe(
        "elsewhere (unless told), the same as always: again whenever it ends, on another host when its host is lost. in-place: it waits for its host. on-failure: as elsewhere, but not after it ended well. never: not started again, anywhere.",
      ),
    z.strictObject({
      when: z.enum(restartWhens).optional().describe("After its program ended; always unless told."),
      onHostLoss: z
        .enum(hostLossPolicies)
        .optional()
        .describe(
          "After its host was lost: elsewhere unless told, but in-place, which waits for that host, with when: never.",
        ),
      backoff: z
        .union(
          [
            durationSchema,
            z.strictObject({ min: durationSchema.optional(), max: durationSchema.optional() }),
          ],
          {
            error: "the first pause such as 500ms, or {min, max}",
          },
        )
        .optional()
        .describe("First pause before a restart, doubled each time up to max."),
    }),
  ],
  {
    error: `${restartWords.slice(0, -1).join(", ")} or ${restartWords.at(-1)}, or {when, onHostLoss, backoff}`,
  },
);

const namesOf = (what: string, most: number = formatLimits.appliances): z.ZodArray<typeof nameSchema> => {
  const expected = `a list of ${what}, such as [a, b]`;
  return listOf(nameSchema, expected).max(most, { error: `at most ${most} ${what}` });
};

const applianceSchema = z.strictObject(
  {
    kind: z
      .enum(["task", "vm"])
      .optional()
      .describe("task: a confined process group (default); vm: a virtual machine."),
    replicas: wholeNumber(1, formatLimits.appliances)
      .optional()
      .describe("How many of them: name-1, name-2, …; 1 unless told."),
    numbered: z
      .boolean({ error: "true or false" })
      .optional()
      .describe(
        "Whether the first one is called name-1, and not name; unless told, as the one that runs already is called, else with two or more.",
      ),
    image: z
      .string({ error: imageExpected })
      .max(1024, { error: "a URL of at most 1024 characters" })
      .regex(/^(?:[a-z][a-z0-9+.-]*:\/\/\S+|[a-z][a-z0-9]*(?:[._-][a-z0-9]+)*)$/, { error: imageExpected })
      .optional()
      .describe(
        "Of a task: root of the file system, by URL; the host's own, read-only, when absent. Of a vm: its name in the catalogue, or the URL it is fetched from; tiny when absent.",
      ),
    vm: vmSchema.optional(),
    command: commandSchema
      .optional()
      .describe(
        "Text is split into words as a shell would; no shell runs. A vm may do without, and runs it once it has booted.",
      ),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, { error: envNameExpected }), plainText, {
        error: "a map of variables, such as {PORT: 8080}",
      })
      .optional(),
    files: z
      .record(absolutePathSchema, fileSchema, { error: "a map from absolute path to content" })
      .optional()
      .describe("Laid into the appliance before it starts."),
    directory: absolutePathSchema.or(z.literal("/")).optional().describe("Working directory; / unless told."),
    cpu: cpuSchema.optional().describe("Guaranteed and not exceeded; best effort when absent."),
    enforcement: enforcementSchema.optional(),
    teams: teamsSchema.optional(),
    memory: bytesSchema
      .optional()
      .describe(
        "Guaranteed and not exceeded; best effort when absent. Of a vm: what its guest has; 128MiB for the image tiny and 512MiB for others when absent.",
      ),
    traffic: trafficSchema
      .optional()
      .describe("Bandwidth of all its traffic on all its networks together; best effort when absent."),
    suspended: z
      .boolean({ error: "true or false" })
      .optional()
      .describe("Held where it is; consort resume lets it run."),
    networks: namesOf("networks", formatLimits.interfaces)
      .optional()
      .describe("In the order of its interfaces; the only network when absent."),
    restart: restartSchema.optional().describe("elsewhere unless told."),
    priority: wholeNumber(0, 9)
      .optional()
      .describe(
        "After the loss of a host 9 is placed first and 0 last; nothing that runs is ended for another. 5 unless told.",
      ),
    hosts: namesOf("hosts").optional().describe("Only on one of these hosts."),
    sites: namesOf("sites").optional().describe("Only at one of these sites."),
    labels: labelsSchema.optional().describe("Only on hosts with all these labels."),
    stopGrace: durationSchema.optional().describe("Between the polite and the final signal; 5s unless told."),
  },
  { error: "a map such as {command: [sleep, infinity]}" },
);

const networkSchema = z.strictObject(
  {
    subnet: z
      .string({ error: "a subnet such as 10.1.0.0/24" })
      .optional()
      .describe("Chosen for you when absent."),
  },
  { error: "a map such as {subnet: 10.1.0.0/24}, or {}" },
);

const linkSchema = z.strictObject(
  {
    between: namesOf("appliances", 64)
      .min(2, { error: "two or more appliances, such as [web, db]" })
      .optional()
      .describe("Short for from and to; of more than two, every two are linked."),
    from: nameSchema.optional(),
    to: nameSchema.optional(),
    network: nameSchema.optional().describe("The first that both are attached to when absent."),
    bandwidth: bandwidthSchema.optional().describe("Guaranteed, each way; best effort when absent."),
    ceiling: bandwidthSchema
      .optional()
      .describe("Never exceeded; when absent spare bandwidth is borrowed up to the physical link."),
    latency: z.enum(["low", "high"]).optional().describe("low: never across routers."),
    priority: wholeNumber(0, 7)
      .optional()
      .describe("Order in which spare bandwidth is lent: 0 first, 7 last; 4 unless told."),
  },
  { error: "a map such as {between: [web, db], bandwidth: 600Mbit/s}" },
);

const placementSchema = z.strictObject(
  {
    together: namesOf("appliances").min(1, { error: "at least one appliance" }).optional(),
    apart: namesOf("appliances").min(1, { error: "at least one appliance" }).optional(),
    scope: z.enum(["host", "site"]).optional().describe("host unless told."),
  },
  { error: "a map such as {together: [web, db]} or {apart: [web], scope: site}" },
);

export const ensembleSchema = z.strictObject(
  {
    ensemble: nameSchema.describe("Unique in the cloud."),
    description: z.string({ error: "text" }).max(4096, { error: "at most 4096 characters" }).optional(),
    appliances: z.record(nameSchema, applianceSchema, {
      error: "a map of appliances, such as {web: {command: [sleep, infinity]}}",
    }),
    networks: z
      .record(nameSchema, networkSchema.nullable(), { error: "a map of networks, such as {lan: {}}" })
      .optional()
      .describe("Absent: one network, lan, which every appliance joins."),
    links: listOf(
      linkSchema,
      "a list of links, such as [{between: [web, db], bandwidth: 600Mbit/s}]",
    ).optional(),
    placement: listOf(placementSchema, "a list of rules, such as [{together: [web, db]}]")
      .max(formatLimits.placementRules, { error: `at most ${formatLimits.placementRules} rules` })
      .optional(),
    classes: classesSchema.optional(),
    monitors: monitorsSchema.optional(),
    strategies: strategiesSchema.optional(),
    adjustments: adjustmentsSchema.optional(),
  },
  { error: "a map that begins with ensemble: NAME" },
);

export type EnsembleDocument = z.input<typeof ensembleSchema>;
export type ApplianceDocument = z.input<typeof applianceSchema>;
export type LinkDocument = z.input<typeof linkSchema>;
