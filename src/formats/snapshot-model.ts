import * as z from "zod";
import type { ApplianceId, EnsembleName, HostId, NetworkId, SiteName } from "#base/ids.ts";
import { hostLossPolicies, restartWhens } from "#formats/restart.ts";
import { adaptationFields, cpuSchema, teamSchema, trafficSchema } from "#formats/snapshot-adaptation.ts";
import * as leaf from "#formats/snapshot-leaves.ts";
import { vmModelSchema } from "#formats/snapshot-vm.ts";
import { enforcements } from "#model/ensemble.ts";
import { connectionTypes, schedulingPolicies } from "#model/topology.ts";

/** The nouns of src/model as a snapshot holds them: what the managers work with, not what people write. */
export const applianceId = leaf.idOf<ApplianceId>("an appliance such as shop/web-1");
export const hostId = leaf.idOf<HostId>("a host's id");
export const siteName = leaf.idOf<SiteName>("a site's name");
const name = leaf.idOf<string>("a name");

const applianceSchema = leaf.shape({
  name,
  kind: z.enum(["task", "vm"]),
  replicas: leaf.whole,
  numbered: leaf.flag.exactOptional(),
  image: leaf.text.exactOptional(),
  vm: vmModelSchema.exactOptional(),
  command: leaf.listOf(leaf.text),
  env: leaf.textMap,
  files: leaf.listOf(leaf.shape({ path: leaf.text, content: leaf.text, mode: leaf.whole })),
  directory: leaf.text.exactOptional(),
  cpu: cpuSchema.exactOptional(),
  enforcement: z.enum(enforcements).exactOptional(),
  teams: leaf.listOf(teamSchema).exactOptional(),
  memoryBytes: z.exactOptional(leaf.bytes),
  traffic: trafficSchema.exactOptional(),
  suspended: z.literal(true).exactOptional(),
  networks: leaf.listOf(name),
  restart: leaf.shape({
    when: z.enum(restartWhens),
    backoffMsMin: leaf.millis,
    backoffMsMax: leaf.millis,
  }),
  onHostLoss: z.enum(hostLossPolicies),
  priority: leaf.whole,
  placement: leaf.shape({
    hosts: leaf.listOf(hostId).exactOptional(),
    sites: leaf.listOf(siteName).exactOptional(),
    labels: leaf.textMap,
  }),
  stopGraceMs: leaf.millis,
});

const linkSpecSchema = leaf.shape({
  from: name,
  to: name,
  network: z.exactOptional(name),
  bandwidthBps: z.exactOptional(leaf.bitsPerSecond),
  ceilingBps: z.exactOptional(leaf.bitsPerSecond),
  latency: z.enum(["low", "high"]).exactOptional(),
  priority: leaf.whole,
});

export const ensembleModelSchema = leaf.shape({
  name: leaf.idOf<EnsembleName>("an ensemble's name"),
  description: leaf.text.exactOptional(),
  appliances: leaf.listOf(applianceSchema),
  networks: leaf.listOf(leaf.shape({ name, subnet: leaf.text.exactOptional() })),
  links: leaf.listOf(linkSpecSchema),
  placement: leaf.listOf(
    leaf.shape({
      rule: z.enum(["together", "apart"]),
      scope: z.enum(["host", "site"]),
      appliances: leaf.listOf(name),
    }),
  ),
  ...adaptationFields,
});

/** A link between two appliances, and its way over the physical network. */
export const linkPathSchema = leaf.shape({
  link: leaf.shape({
    from: applianceId,
    to: applianceId,
    network: leaf.idOf<NetworkId>("a network such as shop/lan"),
    spec: linkSpecSchema,
  }),
  connection: z.enum(connectionTypes),
  nodes: leaf.listOf(leaf.text),
  physicalLinks: leaf.listOf(leaf.whole),
  wireBps: leaf.bitsPerSecond,
  latencyUs: leaf.micros,
});

export const topologyModelSchema = leaf.shape({
  sites: leaf.listOf(leaf.shape({ name: siteName, tunnel: z.enum(["wireguard", "openvpn", "vxlan"]) })),
  hosts: leaf.listOf(
    leaf.shape({
      id: hostId,
      site: siteName,
      cpuMilli: leaf.milliCpu,
      memoryBytes: leaf.bytes,
      labels: leaf.textMap,
      dispatch: leaf
        .shape({ policy: z.enum(schedulingPolicies), quantumUs: z.exactOptional(leaf.micros) })
        .exactOptional(),
    }),
  ),
  devices: leaf.listOf(
    leaf.shape({
      id: name,
      kind: z.enum(["switch", "router", "gateway"]),
      site: z.exactOptional(siteName),
    }),
  ),
  links: leaf.listOf(
    leaf.shape({ a: name, b: name, bandwidthBps: leaf.bitsPerSecond, latencyUs: leaf.micros }),
  ),
});
