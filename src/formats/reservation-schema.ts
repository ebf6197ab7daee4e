import * as z from "zod";
import {
  bandwidthSchema,
  bytesSchema,
  cpuSchema,
  durationSchema,
  listOf,
  nameExpected,
  nameSchema,
  plainText,
  wholeNumber,
} from "#formats/fields.ts";
import { readingLimits } from "#control/monitor/readings.ts";
import { seriesExpected } from "#control/monitor/series.ts";
import { formatLimits } from "#formats/limits.ts";
import { diskSchema } from "#formats/vm-schema.ts";
import { enforcements, teamPolicies } from "#model/ensemble.ts";
import type { TeamPolicy } from "#model/ensemble.ts";

/** What ensemble files say about reservations, those who share them, and how they change while all runs. */
const commandExpected = "a command: text split into words as a shell would, or a list of words";
const metricExpected = `a monitor's name, a dot and a metric, such as video.jitter > 20ms for 1s`;

export const commandSchema = z.union([z.string(), listOf(plainText, commandExpected)], {
  error: commandExpected,
});

export const enforcementSchema = z
  .enum(enforcements)
  .describe(
    "How its reservation of CPU time is kept: by a table of time slots, by the kernel's quota over the period, or by its deadline scheduler; auto, the first of these that serves on its host, unless told.",
  );

export type TeamDocument = {
  readonly cpu?: z.input<typeof cpuSchema> | undefined;
  readonly policy?: TeamPolicy | undefined;
  readonly command?: z.input<typeof commandSchema> | undefined;
  readonly commands?: readonly z.input<typeof commandSchema>[] | undefined;
  readonly teams?: Readonly<Record<string, TeamDocument>> | undefined;
};

export const teamSchema: z.ZodType<TeamDocument, TeamDocument> = z.strictObject(
  {
    cpu: cpuSchema
      .optional()
      .describe("Its part of the reservation it is in; without one, what its siblings leave."),
    policy: z
      .enum(teamPolicies)
      .optional()
      .describe(
        "round-robin (unless told): one of its programs at a time, in turn; together: all of them, as the kernel sees fit.",
      ),
    command: commandSchema.optional().describe("Its only program; starts with the appliance's own command."),
    commands: listOf(commandSchema, "a list of commands, such as [[enc, a], [enc, b]]")
      .max(formatLimits.jobsPerTeam, { error: `at most ${formatLimits.jobsPerTeam} commands` })
      .optional()
      .describe("Its programs."),
    get teams() {
      return teamsSchema.optional();
    },
  },
  { error: "a map such as {cpu: 8ms/40ms, command: encode}" },
);

export const teamsSchema = z
  .record(nameSchema, teamSchema, {
    error: "a map of teams, such as {encoders: {cpu: 8ms/40ms, command: encode}}",
  })
  .describe("Parts of its reservation that are kept for parts of its programs.");

export const trafficSchema = z.strictObject(
  {
    class: nameSchema.optional().describe("Its service class; best-effort unless told."),
    out: bandwidthSchema.optional().describe("Guaranteed for all it sends."),
    in: bandwidthSchema.optional().describe("Guaranteed for all it receives."),
    outCeiling: bandwidthSchema
      .optional()
      .describe("Never exceeded; when absent spare bandwidth is borrowed up to the physical link."),
    inCeiling: bandwidthSchema.optional().describe("As outCeiling, for what it receives."),
  },
  { error: "a map such as {class: gold, out: 5Mbit/s, in: 1Mbit/s}" },
);

const priorityExpected = "a priority from 0 (gets spare bandwidth first) to 7";
const prioritySchema = z
  .number({ error: priorityExpected })
  .int({ error: priorityExpected })
  .min(0, { error: priorityExpected })
  .max(7, { error: priorityExpected });

export const classesSchema = z
  .record(
    nameSchema,
    z.union([prioritySchema, z.strictObject({ priority: prioritySchema })], { error: priorityExpected }),
    { error: "a map of service classes, such as {silver: 2}" },
  )
  .describe("Service classes beside gold (0) and best-effort (7): spare bandwidth goes to the lowest first.");

const monitorSchema = z.strictObject(
  {
    appliance: nameSchema.describe(
      "What it measures, or measures inside of; one of several replicas by its own name.",
    ),
    every: durationSchema.optional().describe("Between two measurements; 1s unless told."),
    rtp: wholeNumber(1, 65_535)
      .optional()
      .describe("UDP port of the appliance where an RTP stream arrives: frame-rate, jitter, loss, packets."),
    scheduling: z.literal(true).optional().describe("Of its reservation of CPU time: misses, usage."),
    script: commandSchema
      .optional()
      .describe("Run inside it; prints one number, or lines of a metric's name and its number."),
    http: z
      .string({ error: "a URL such as http://localhost:8080/metrics" })
      .regex(/^http:\/\/\S+$/, { error: "a URL such as http://localhost:8080/metrics" })
      .max(1024, { error: "a URL of at most 1024 characters" })
      .optional()
      .describe("Asked from inside it; answers as a script prints."),
    metrics: z
      .record(nameSchema, z.string({ error: seriesExpected }).max(512, { error: "at most 512 characters" }), {
        error: `a map such as {errors: 'sum(http_requests_total{code="500"})'}`,
      })
      .refine((metrics) => Object.keys(metrics).length > 0, { error: "at least one metric" })
      .refine((metrics) => Object.keys(metrics).length <= readingLimits.metricsMax, {
        error: `at most ${readingLimits.metricsMax} metrics`,
      })
      .optional()
      .describe("Of a page or program that tells much, as for Prometheus: what counts, by names of yours."),
  },
  { error: "a map such as {appliance: viewer, rtp: 5004}" },
);

export const monitorsSchema = z
  .record(nameSchema, monitorSchema, {
    error: "a map of monitors, such as {video: {appliance: viewer, rtp: 5004}}",
  })
  .describe("What is measured while all runs.");

const actionExpected =
  "an action: move 8ms from a to b, move 1Mbit/s from a to b, suspend a, resume a, or {run: {in: a, command: …}}";

const actionSchema = z.union(
  [
    z.string(),
    z.strictObject({
      run: z.strictObject(
        { in: nameSchema.describe("The appliance it is run in."), command: commandSchema },
        { error: "a map such as {in: web, command: [kill, -HUP, '1']}" },
      ),
    }),
  ],
  { error: actionExpected },
);

const strategySchema = z.strictObject(
  {
    when: z
      .string({ error: metricExpected })
      .describe("METRIC > THRESHOLD, or >=, <, <=, perhaps for DURATION."),
    // oxlint-disable-next-line unicorn/no-thenable -- the word of the file; no document is ever awaited
    then: z
      .union(
        [actionSchema, listOf(actionSchema, "a list of actions").min(1, { error: "at least one action" })],
        {
          error: actionExpected,
        },
      )
      .describe("What to do; of several actions all or none are done."),
    cooldown: durationSchema.optional().describe("Before it acts again; 5s unless told."),
    rearm: z
      .union([z.string(), z.number()], { error: "a threshold such as 10ms" })
      .optional()
      .describe("Having acted, it acts again only after the metric was at this value, or on its good side."),
  },
  { error: "a map such as {when: video.jitter > 20ms for 1s, then: move 8ms from a to b}" },
);

export const strategiesSchema = z
  .record(nameSchema, strategySchema, {
    error: "a map of strategies, such as {more: {when: video.jitter > 20ms, then: suspend a}}",
  })
  .describe("What to do when a measurement is beyond its threshold.");

const teamPathExpected = "a team's name, within those it is in: encoders, or encoders/deep";

/** What teams of an appliance are to have, by their paths. */
export const teamSizesSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9-]*(\/[a-z][a-z0-9-]*)*$/, { error: teamPathExpected }), cpuSchema, {
    error: "a map of teams' parts, such as {encoders: 8ms/40ms}",
  })
  .describe("By team, encoders or encoders/deep: its part of the reservation it is in.");

const adjustmentSchema = z.strictObject(
  {
    cpu: cpuSchema.optional(),
    memory: bytesSchema.optional(),
    vcpus: wholeNumber(1, formatLimits.vcpus).optional(),
    disk: diskSchema.optional(),
    traffic: trafficSchema.optional(),
    suspended: z.boolean({ error: "true or false" }).optional(),
    teams: teamSizesSchema.optional(),
  },
  { error: "a map such as {cpu: 8ms/40ms}" },
);

export const adjustmentsSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9-]*$/, { error: nameExpected }), adjustmentSchema, {
    error: "a map of adjustments, such as {web-2: {cpu: 8ms/40ms}}",
  })
  .describe(
    "What single appliances have instead of what is declared; consort resize, suspend and resume write it.",
  );

export type MonitorDocument = z.input<typeof monitorSchema>;
export type StrategyDocument = z.input<typeof strategySchema>;
export type ActionDocument = z.input<typeof actionSchema>;
export type TrafficDocument = z.input<typeof trafficSchema>;
export type AdjustmentDocument = z.input<typeof adjustmentSchema>;
