import * as z from "zod";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { durationSchema, listOf, nameSchema, plainText, quantity, wholeNumber } from "#formats/fields.ts";
import { formatLimits } from "#formats/limits.ts";
import { commandSchema } from "#formats/reservation-schema.ts";
import { parseStagingAddress } from "#formats/staging-address.ts";

/** The vocabulary of job files: what people write, in YAML, JSON, and over HTTP. JSDL documents are read to the same. */
const pathExpected = "a path inside the appliance without . or .. in it, such as in.txt or /srv/data/in.txt";
const pathPattern =
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  /^\/?(?!\.{1,2}(?:\/|$))[^/\u0000-\u001f\u007f]+(?:\/(?!\.{1,2}(?:\/|$))[^/\u0000-\u001f\u007f]+)*$/;

const pathSchema = z
  .string({ error: pathExpected })
  .max(formatLimits.pathLength, { error: `a path of at most ${formatLimits.pathLength} characters` })
  .regex(pathPattern, { error: pathExpected });

const directoryExpected = "an absolute path without . or .. in it, such as /srv/work";
const directorySchema = pathSchema.regex(/^\//, { error: directoryExpected });

const addressSchema = quantity(parseStagingAddress, ["sftp://store.example/in.txt"], "an address").describe(
  "file, sftp, ftp, s3, webhdfs, http or https; a file: only below what its manager opens to jobs.",
);

const applianceExpected = "an appliance by ensemble and name, such as shop/worker-1";
const credentialsSchema = nameSchema.optional().describe("A secret: consort secret set NAME.");

const stageInSchema = z.strictObject(
  {
    from: addressSchema,
    to: pathSchema,
    ifThere: z
      .enum(["overwrite", "append", "keep"])
      .optional()
      .describe("What becomes of a file that is there already; overwrite unless told."),
    delete: z.boolean({ error: "true or false" }).optional().describe("Removed when the job is over."),
    credentials: credentialsSchema,
  },
  { error: "a map such as {from: sftp://store.example/in.txt, to: in.txt}" },
);

const stageOutSchema = z.strictObject(
  {
    from: pathSchema,
    to: addressSchema,
    always: z.boolean({ error: "true or false" }).optional().describe("Also when the program failed."),
    delete: z.boolean({ error: "true or false" }).optional().describe("Removed when the job is over."),
    credentials: credentialsSchema,
  },
  { error: "a map such as {from: out.txt, to: s3://bucket/out.txt}" },
);

const attempts = wholeNumber(1, formatLimits.jobAttempts);

export const jobSchema = z.strictObject(
  {
    job: nameSchema.describe("What it is called; its id adds to it what makes it unique."),
    description: z.string({ error: "text" }).max(4096, { error: "at most 4096 characters" }).optional(),
    appliance: z
      .string({ error: applianceExpected })
      .max(2 * formatLimits.nameLength + 8, { error: applianceExpected })
      .regex(/^[a-z][a-z0-9-]*\/[a-z][a-z0-9-]*$/, { error: applianceExpected })
      .optional()
      .describe("Where it runs, beside what runs there."),
    machine: ensembleSchema.shape.appliances.valueType
      .omit({
        replicas: true,
        numbered: true,
        command: true,
        suspended: true,
        restart: true,
        networks: true,
        stopGrace: true,
        teams: true,
      })
      .optional()
      .describe("Or a machine of its own, in the words of an appliance; made for it and removed after it."),
    command: commandSchema.describe("Text is split into words as a shell would; no shell runs."),
    env: z
      .record(
        z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, {
          error: "a variable's name of letters, digits and _, not first a digit",
        }),
        plainText,
        { error: "a map of variables, such as {SCENE: 12}" },
      )
      .optional(),
    directory: directorySchema
      .optional()
      .describe("Working directory; absent: one of the job's own, which goes with it."),
    stdin: pathSchema.optional().describe("Its input; none when absent."),
    stdout: pathSchema
      .optional()
      .describe("Its output goes there too, beside what consort job output shows."),
    stderr: pathSchema.optional(),
    stageIn: listOf(stageInSchema, "a list such as [{from: sftp://store.example/in.txt, to: in.txt}]")
      .max(formatLimits.stagings, { error: `at most ${formatLimits.stagings} files` })
      .optional()
      .describe("Brought there before it runs."),
    stageOut: listOf(stageOutSchema, "a list such as [{from: out.txt, to: s3://bucket/out.txt}]")
      .max(formatLimits.stagings, { error: `at most ${formatLimits.stagings} files` })
      .optional()
      .describe("Taken away after it ended well."),
    retry: z
      .union(
        [
          attempts,
          z.strictObject({
            attempts,
            backoff: z
              .union(
                [
                  durationSchema,
                  z.strictObject({ min: durationSchema.optional(), max: durationSchema.optional() }),
                ],
                { error: "the first pause such as 5s, or {min, max}" },
              )
              .optional()
              .describe("Pause before another attempt, doubled each time up to max; 1s and 1m unless told."),
          }),
        ],
        { error: "how many attempts, such as 3, or {attempts: 3, backoff: 5s}" },
      )
      .optional()
      .describe("Attempts in all, also after the loss of a host; 1 unless told."),
    timeLimit: durationSchema.optional().describe("An attempt that takes longer is ended."),
  },
  { error: "a map that begins with job: NAME" },
);

export type JobDocument = z.input<typeof jobSchema>;
