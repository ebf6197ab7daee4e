import { z } from "zod";
import { vmStatusSchema } from "./vm-status.ts";

/** Promised of all traffic of an appliance with other hosts. */
export const trafficSchema = z.strictObject({
  serviceClass: z.string(),
  outBps: z.number().optional(),
  inBps: z.number().optional(),
  outCeilingBps: z.number().optional(),
  inCeilingBps: z.number().optional(),
});
export type TrafficStatus = z.infer<typeof trafficSchema>;

export const applianceStatusSchema = z.strictObject({
  ensemble: z.string(),
  name: z.string(),
  kind: z.enum(["task", "vm"]),
  host: z.string().optional(),
  site: z.string().optional(),
  /** As its host reports it; "pending" before the host has heard of it; "lost" when its host is silent; "gone" when it ran on a host that was forgotten, and is not run again. */
  state: z.string(),
  message: z.string().optional(),
  /** As ensemble files have it: "elsewhere", "in-place", "never", …; "on-failure, in-place" where no word says both. */
  restart: z.string().optional(),
  restarts: z.int(),
  startedAtMs: z.number().optional(),
  addresses: z.array(z.strictObject({ network: z.string(), address: z.string(), mac: z.string() })),
  cpuReservedMilli: z.number().optional(),
  /** Of a reservation of CPU time: so much in every period, and how its host keeps it now. */
  reservation: z
    .strictObject({
      executionUs: z.number(),
      periodUs: z.number(),
      enforcement: z.string().optional(),
      dispatches: z.number().optional(),
      misses: z.number().optional(),
      latestUs: z.number().optional(),
    })
    .optional(),
  /** Parts of its reservation, kept for some of its programs; a team within another is called "outer/inner". */
  teams: z
    .array(
      z.strictObject({
        name: z.string(),
        policy: z.string(),
        jobs: z.int(),
        executionUs: z.number().optional(),
        periodUs: z.number().optional(),
      }),
    )
    .optional(),
  traffic: trafficSchema.optional(),
  /** It is to be held where it is; whether it is, `state` tells. */
  suspended: z.literal(true).optional(),
  /** Something of it is not as declared. */
  adjusted: z.literal(true).optional(),
  cpuUsedMilli: z.number(),
  memoryLimitBytes: z.number().optional(),
  memoryUsedBytes: z.number(),
  /** Over all its interfaces: bytes since it is on this host, and rates between the last two readings. */
  network: z
    .strictObject({
      inBytes: z.number(),
      outBytes: z.number(),
      inBps: z.number(),
      outBps: z.number(),
    })
    .optional(),
  /** Only of a virtual machine. */
  vm: vmStatusSchema.optional(),
  /** What the guest of a virtual machine does, since its machine started. */
  guest: z
    .strictObject({
      memoryTotalBytes: z.number().optional(),
      memoryAvailableBytes: z.number().optional(),
      readBytes: z.number(),
      writtenBytes: z.number(),
    })
    .optional(),
});
export type ApplianceStatus = z.infer<typeof applianceStatusSchema>;

export const linkStatusSchema = z.strictObject({
  from: z.string(),
  to: z.string(),
  network: z.string(),
  connection: z.string(),
  path: z.array(z.string()),
  bandwidthBps: z.number().optional(),
  ceilingBps: z.number().optional(),
  latency: z.enum(["low", "high"]).optional(),
  /** Measured over the last reporting interval, from → to and back. */
  forwardBps: z.number(),
  backwardBps: z.number(),
  forwardBytes: z.number(),
  backwardBytes: z.number(),
});
export type LinkStatus = z.infer<typeof linkStatusSchema>;

/** What a monitor told last. */
export const measurementStatusSchema = z.strictObject({
  /** In full: "video.jitter". */
  metric: z.string(),
  appliance: z.string(),
  value: z.number(),
  /** "ms", "1/s", "ratio", where it is known. */
  unit: z.string().optional(),
  atMs: z.number(),
});
export type MeasurementStatus = z.infer<typeof measurementStatusSchema>;

/** A declared monitor, and why it measures nothing, where it cannot. */
export const monitorStatusSchema = z.strictObject({
  name: z.string(),
  appliance: z.string(),
  problem: z.string().optional(),
  /** When it began to fail. */
  sinceMs: z.number().optional(),
});
export type MonitorStatus = z.infer<typeof monitorStatusSchema>;

/** What a strategy has done since this cluster manager began. */
export const strategyStatusSchema = z.strictObject({
  name: z.string(),
  /** As ensemble files have it: "video.jitter > 20ms for 1s". */
  when: z.string(),
  acted: z.int(),
  /** It fired, and could not act. */
  refused: z.int(),
  /** The reason of the last time, and when that was. */
  last: z.string().optional(),
  lastAtMs: z.number().optional(),
});
export type StrategyStatus = z.infer<typeof strategyStatusSchema>;

export const ensembleStatusSchema = z.strictObject({
  name: z.string(),
  description: z.string().optional(),
  state: z.enum(["converging", "running", "degraded", "removing"]),
  /** Why it is not running. */
  message: z.string().optional(),
  revision: z.int(),
  appliances: z.array(applianceStatusSchema),
  networks: z.array(z.strictObject({ name: z.string(), subnet: z.string(), vni: z.int(), mtu: z.int() })),
  links: z.array(linkStatusSchema),
  monitors: z.array(monitorStatusSchema).optional(),
  measurements: z.array(measurementStatusSchema).optional(),
  strategies: z.array(strategyStatusSchema).optional(),
});
export type EnsembleStatus = z.infer<typeof ensembleStatusSchema>;

/** Of the machine below a host: bytes since it started, rates between the last two looks. */
const machineUsageSchema = z.strictObject({
  processors: z.int(),
  load: z.tuple([z.number(), z.number(), z.number()]).readonly(),
  busyMilli: z.number(),
  memoryTotalBytes: z.number(),
  memoryAvailableBytes: z.number(),
  readBytes: z.number(),
  writtenBytes: z.number(),
  readBytesPerSecond: z.number(),
  writtenBytesPerSecond: z.number(),
  inBytes: z.number().optional(),
  outBytes: z.number().optional(),
  inBps: z.number().optional(),
  outBps: z.number().optional(),
});

export const hostStatusSchema = z.strictObject({
  id: z.string(),
  site: z.string(),
  role: z.enum(["host", "gateway"]),
  state: z.enum(["ready", "converging", "lost"]),
  /** cordoned: gets nothing new. draining: and what it has is moved away. */
  scheduling: z.enum(["open", "cordoned", "draining"]),
  /** What it ran was given to other hosts; it takes part again once it is clean. */
  fenced: z.boolean(),
  address: z.string(),
  labels: z.record(z.string(), z.string()),
  cpuMilli: z.number(),
  cpuReservedMilli: z.number(),
  cpuUsedMilli: z.number(),
  memoryBytes: z.number(),
  memoryReservedBytes: z.number(),
  memoryUsedBytes: z.number(),
  machine: machineUsageSchema.optional(),
  uplinkBps: z.number(),
  /** As it is on the wire, by links and by all traffic of appliances; absent where nothing is. */
  uplinkReservedBps: z.number().optional(),
  appliances: z.int(),
  tunnels: z.array(z.strictObject({ peerSite: z.string(), kind: z.string(), up: z.boolean() })),
  lastSeenMs: z.number(),
  problems: z.array(z.string()),
});
export type HostStatus = z.infer<typeof hostStatusSchema>;

/** Something that happened. `cursor` grows; a reader resumes after the last one it saw. */
export const eventSchema = z.strictObject({
  cursor: z.int(),
  atMs: z.number(),
  /** "ensemble.accepted", "appliance.running", "host.lost", "operation.done", … */
  kind: z.string(),
  /** "shop/web-1", "host/a1", "operation/…" */
  subject: z.string(),
  message: z.string(),
});
export type Event = z.infer<typeof eventSchema>;
