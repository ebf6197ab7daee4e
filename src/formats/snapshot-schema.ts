import * as z from "zod";
import type { Ipv4Address, MacAddress } from "#base/ids.ts";
import { imageModelSchema } from "#formats/snapshot-vm.ts";
import * as leaf from "#formats/snapshot-leaves.ts";
import {
  applianceId,
  ensembleModelSchema,
  hostId,
  linkPathSchema,
  siteName,
  topologyModelSchema,
} from "#formats/snapshot-model.ts";

/** A snapshot of a running cloud as `GET /v1/snapshot` gives it. A field nobody knows is refused: it would be lost. */
const address = leaf.idOf<Ipv4Address>("an IPv4 address");

const hostSchema = leaf.shape({
  id: hostId,
  site: siteName,
  role: z.enum(["host", "gateway"]),
  address,
  siteSubnet: leaf.text,
  outsideAddress: z.exactOptional(address),
  tunnelPublicKey: leaf.text.exactOptional(),
  capacity: leaf.shape({
    cpuMilli: leaf.milliCpu,
    memoryBytes: leaf.bytes,
    uplinkBps: leaf.bitsPerSecond,
  }),
  labels: leaf.textMap,
  capabilities: leaf.listOf(leaf.text),
});

const standingSchema = leaf.shape({
  fenced: leaf.flag,
  scheduling: z.enum(["open", "cordoned", "draining"]),
  staysCordoned: z.exactOptional(leaf.flag),
  operation: leaf.text.exactOptional(),
});

/** Hosts of appliances that have to leave them, or that obey no lease there. */
const hostsByAppliance = leaf.mapOf(applianceId, leaf.listOf(hostId));

const ensembleRecordSchema = leaf.shape({
  ensemble: ensembleModelSchema,
  state: z.enum(["present", "removing"]),
  placements: leaf.mapOf(applianceId, hostId),
  paths: leaf.listOf(linkPathSchema),
  networks: leaf.mapOf(leaf.text, leaf.shape({ vni: leaf.whole, subnet: leaf.text })),
  interfaces: leaf.mapOf(
    applianceId,
    leaf.listOf(leaf.shape({ network: leaf.text, mac: leaf.idOf<MacAddress>("a MAC address"), address })),
  ),
  images: leaf.mapOf(leaf.text, imageModelSchema).exactOptional(),
  leaving: hostsByAppliance,
  unleased: hostsByAppliance,
  over: z.exactOptional(leaf.listOf(applianceId)),
  operation: leaf.text,
  revision: leaf.whole,
});

export const snapshotSchema = leaf
  .shape({
    format: z.literal("consort-snapshot/1"),
    takenAtMs: leaf.amount,
    topology: topologyModelSchema.describe("The physical network, as appliances are mapped on it."),
    hosts: leaf.listOf(hostSchema).describe("What is known of hosts between their reports."),
    standings: leaf
      .mapOf(hostId, standingSchema)
      .describe("What managers and operators decided about hosts; absent: open and trusted."),
    ensembles: leaf.listOf(ensembleRecordSchema).describe("What is desired, and where it was placed."),
    tunnels: leaf
      .mapOf(leaf.text, leaf.shape({ index: leaf.whole, guarded: leaf.flag }))
      .describe("Between sites; without their keys."),
    cpuUsedMilli: leaf
      .mapOf(leaf.text, leaf.amount)
      .describe("CPU each appliance used lately, in thousandths of a core, by id."),
  })
  .describe(
    "All that is desired and known of a cloud; no secrets of managers, but files and env as declared.",
  );
