import * as z from "zod";
import {
  bandwidthSchema,
  bytesSchema,
  cpuShareSchema,
  durationSchema,
  labelsSchema,
  listOf,
  nameSchema,
  quantumSchema,
} from "#formats/fields.ts";
import { schedulingPolicies } from "#model/topology.ts";

/** The vocabulary of topology files: a short form for sites of one switch, a long one for any fabric. */
const machine = {
  cpu: cpuShareSchema.optional().describe("What its appliances may reserve in all; 100% unless told."),
  memory: bytesSchema.optional().describe("What its appliances may reserve in all; 1GiB unless told."),
  labels: labelsSchema.optional(),
  dispatch: z
    .strictObject(
      {
        policy: z
          .enum(schedulingPolicies)
          .optional()
          .describe(
            "Who goes first: the shorter period, or the one that ends first; rate-monotonic unless told.",
          ),
        quantum: quantumSchema
          .optional()
          .describe("Length of a slot, 1ms to 10ms; chosen for what is reserved unless told."),
      },
      { error: "a map such as {policy: earliest-deadline-first, quantum: 5ms}" },
    )
    .optional()
    .describe("How its dispatch tables are filled, and reservations kept by them admitted."),
};

const cableSchema = z.union(
  [
    bandwidthSchema,
    z.strictObject({
      bandwidth: bandwidthSchema.optional(),
      latency: durationSchema.optional(),
    }),
  ],
  { error: "a bandwidth such as 1Gbit/s, or {bandwidth, latency}" },
);

const siteHostSchema = z.strictObject(
  {
    ...machine,
    link: cableSchema.optional().describe("Its cable to the site's switch; 1Gbit/s unless told."),
  },
  { error: "a map such as {cpu: 50%, memory: 1GiB}, or {}" },
);

const siteSchema = z.strictObject(
  {
    tunnel: z
      .enum(["wireguard", "openvpn", "vxlan"])
      .optional()
      .describe("How frames leave the site; the stricter of both ends wins; wireguard unless told."),
    hosts: z
      .record(nameSchema, siteHostSchema.nullable(), { error: "a map of hosts, such as {a1: {cpu: 50%}}" })
      .optional()
      .describe("Short form: these hosts on a switch sw-SITE, with a gateway gw-SITE towards the router."),
  },
  { error: "a map such as {hosts: {a1: {}}}, or {}" },
);

const hostSchema = z.strictObject(
  { site: nameSchema, ...machine },
  { error: "a map such as {site: alpha, cpu: 400%, memory: 16GiB}" },
);

const deviceSchema = z.strictObject(
  {
    kind: z.enum(["switch", "router", "gateway"]),
    site: nameSchema.optional().describe("Every switch and gateway has one; a router needs none."),
  },
  { error: "a map such as {kind: switch, site: alpha}" },
);

const linkExpected = "a cable such as [h1, sw1, 1Gbit/s, 50us] or {between: [h1, sw1], bandwidth: 1Gbit/s}";

const linkSchema = z.union(
  [
    z
      .array(z.union([z.string(), z.number()], { error: "text" }), { error: linkExpected })
      .min(2, { error: linkExpected })
      .max(4, { error: linkExpected }),
    z.strictObject({
      between: listOf(nameSchema, "the two ends, such as [h1, sw1]")
        .min(2, { error: "two ends, such as [h1, sw1]" })
        .max(2, { error: "two ends, such as [h1, sw1]" }),
      bandwidth: bandwidthSchema.optional(),
      latency: durationSchema.optional(),
    }),
  ],
  { error: linkExpected },
);

export const topologySchema = z.strictObject(
  {
    sites: z.record(nameSchema, siteSchema.nullable(), {
      error: "a map of sites, such as {alpha: {hosts: {a1: {}, a2: {}}}}",
    }),
    interSite: z
      .strictObject(
        {
          bandwidth: bandwidthSchema.optional().describe("Of each site's way out; 1Gbit/s unless told."),
          latency: durationSchema.optional().describe("One way, from site to site; none unless told."),
        },
        { error: "a map such as {bandwidth: 1Gbit/s, latency: 5ms}" },
      )
      .optional()
      .describe("For sites in the short form."),
    hosts: z.record(nameSchema, hostSchema, { error: "a map of hosts" }).optional(),
    devices: z.record(nameSchema, deviceSchema, { error: "a map of devices" }).optional(),
    links: listOf(linkSchema, "a list of cables, such as [[h1, sw1, 1Gbit/s]]")
      .optional()
      .describe("Each full duplex; 1Gbit/s and no latency unless told."),
  },
  { error: "a map that begins with sites:" },
);

export type TopologyDocument = z.input<typeof topologySchema>;
