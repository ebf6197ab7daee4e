import * as z from "zod";
import * as leaf from "#formats/snapshot-leaves.ts";
import { diskLimitsSchema } from "#formats/snapshot-vm.ts";
import { teamPolicies } from "#model/ensemble.ts";
import type { TeamSpec } from "#model/ensemble.ts";

/** Reservations, and what changes them, as a snapshot holds them. */
const name = leaf.idOf<string>("a name");

const reservationSchema = leaf.shape({
  kind: z.literal("reservation"),
  periodUs: leaf.micros,
  executionUs: leaf.micros,
});

export const cpuSchema = z.discriminatedUnion(
  "kind",
  [
    leaf.shape({ kind: z.literal("share"), shareMilli: leaf.milliCpu, limitMilli: leaf.milliCpu }),
    reservationSchema,
  ],
  { error: "a CPU request of kind share or reservation" },
);

const wordsSchema = leaf.listOf(leaf.text);

type InnerTeams = z.ZodType<TeamSpec[], TeamSpec[]>;

export const teamSchema = leaf.shape({
  name,
  cpu: reservationSchema.exactOptional(),
  policy: z.enum(teamPolicies),
  jobs: leaf.listOf(wordsSchema),
  /** The type is said, as one that is made of itself cannot be found out. */
  get teams(): InnerTeams {
    return leaf.listOf(teamSchema) as unknown as InnerTeams;
  },
});

export const trafficSchema = leaf.shape({
  serviceClass: name,
  outBps: z.exactOptional(leaf.bitsPerSecond),
  inBps: z.exactOptional(leaf.bitsPerSecond),
  outCeilingBps: z.exactOptional(leaf.bitsPerSecond),
  inCeilingBps: z.exactOptional(leaf.bitsPerSecond),
});

const monitorSchema = leaf.shape({
  name,
  appliance: name,
  everyMs: leaf.millis,
  source: z.discriminatedUnion(
    "kind",
    [
      leaf.shape({ kind: z.literal("rtp"), port: leaf.whole }),
      leaf.shape({ kind: z.literal("scheduling") }),
      leaf.shape({
        kind: z.literal("script"),
        command: wordsSchema,
        metrics: leaf.textMap.exactOptional(),
      }),
      leaf.shape({ kind: z.literal("http"), url: leaf.text, metrics: leaf.textMap.exactOptional() }),
    ],
    { error: "a source of kind rtp, scheduling, script or http" },
  ),
});

const actionSchema = z.discriminatedUnion(
  "kind",
  [
    leaf.shape({ kind: z.literal("move-cpu"), executionUs: leaf.micros, from: name, to: name }),
    leaf.shape({ kind: z.literal("move-bandwidth"), bandwidthBps: leaf.bitsPerSecond, from: name, to: name }),
    leaf.shape({ kind: z.enum(["suspend", "resume"]), appliance: name }),
    leaf.shape({ kind: z.literal("run"), appliance: name, command: wordsSchema }),
  ],
  { error: "an action of kind move-cpu, move-bandwidth, suspend, resume or run" },
);

const strategySchema = leaf.shape({
  name,
  when: leaf.shape({
    metric: leaf.text,
    comparison: z.enum([">", ">=", "<", "<="]),
    threshold: z.number({ error: "a number" }),
  }),
  forMs: leaf.millis,
  actions: leaf.listOf(actionSchema),
  cooldownMs: leaf.millis,
  rearm: z.number({ error: "a number" }).exactOptional(),
});

export const adaptationFields = {
  serviceClasses: leaf.listOf(leaf.shape({ name, priority: leaf.whole })).exactOptional(),
  monitors: leaf.listOf(monitorSchema).exactOptional(),
  strategies: leaf.listOf(strategySchema).exactOptional(),
  adjustments: leaf
    .listOf(
      leaf.shape({
        appliance: name,
        cpu: cpuSchema.exactOptional(),
        memoryBytes: z.exactOptional(leaf.bytes),
        vcpus: leaf.whole.exactOptional(),
        disk: diskLimitsSchema.exactOptional(),
        traffic: trafficSchema.exactOptional(),
        suspended: leaf.flag.exactOptional(),
        teams: leaf.listOf(leaf.shape({ path: leaf.text, cpu: reservationSchema })).exactOptional(),
      }),
    )
    .exactOptional(),
};
