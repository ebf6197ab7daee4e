import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { linkName, withFence } from "#cli/names.ts";
import { bandwidth, cpu, part, reservation, size } from "#cli/quantities.ts";
import { formatTable } from "#cli/table.ts";
import { changesUnderWay, underWayLines } from "#cli/under-way.ts";
import { showOrWatch, watchOptions } from "#cli/watch.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { ApplianceStatus, EnsembleStatus, HostStatus, LinkStatus } from "#protocol/http/status.ts";

type Usage = {
  readonly hosts: readonly HostStatus[];
  readonly appliances: readonly ApplianceStatus[];
  readonly links: readonly (LinkStatus & { readonly ensemble: string })[];
  /** That run now. */
  readonly operations: readonly Operation[];
};

export const command: Command = {
  usage: ["top"],
  options: { ...apiOptions, ...watchOptions },
  about: [
    "What hosts, appliances and links use now, busiest first, against what is promised to them; below them the changes\nunder way. On a terminal it goes on until Ctrl-C; elsewhere it prints once, unless --watch.",
  ],
  examples: [
    { line: "consort top", what: "watch it" },
    { line: "consort top --json --watch --every 5", what: "one JSON line every five seconds" },
  ],
  takes: [0, 0],
  async run(given, context) {
    const client = await connect(given, context);
    return showOrWatch(given, context, (signal) => readUsage(client, signal), formatUsage, {
      always: context.terminal.outIsTerminal && !given.has("json"),
    });
  },
};

/** Gateways have none to give. */
const ofCpu = (host: HostStatus): string =>
  host.cpuMilli === 0 ? "-" : `${cpu(host.cpuUsedMilli)} of ${cpu(host.cpuMilli)}`;

async function readUsage(client: Client, signal: AbortSignal): Promise<Usage> {
  const [hosts, ensembles, operations] = await Promise.all([
    client.request<HostStatus[]>("GET", "/v1/hosts", signal),
    client.request<EnsembleStatus[]>("GET", "/v1/ensembles", signal),
    changesUnderWay(client, signal),
  ]);
  const links = ensembles.flatMap(({ name, links: all }) => all.map((link) => ({ ensemble: name, ...link })));
  return {
    hosts: hosts.toSorted((a, b) => b.cpuUsedMilli - a.cpuUsedMilli || a.id.localeCompare(b.id)),
    appliances: ensembles
      .flatMap((ensemble) => ensemble.appliances)
      .toSorted((a, b) => b.cpuUsedMilli - a.cpuUsedMilli),
    operations,
    links: links.toSorted((a, b) => b.forwardBps + b.backwardBps - a.forwardBps - a.backwardBps),
  };
}

/** "3 of 1200": slots that came late, or periods in which less was given; "-" where that cannot be told. */
const missesOf = ({ reservation: told }: ApplianceStatus): string =>
  told?.dispatches === undefined || told.misses === undefined ? "-" : `${told.misses} of ${told.dispatches}`;

/** "12Mbit/s of 40Mbit/s": what is sent or got over all its interfaces now, of what is promised. */
function ofTraffic({ network, traffic }: ApplianceStatus, way: "outBps" | "inBps"): string {
  const promised = traffic?.[way];
  if (network === undefined) return "-";
  return promised === undefined
    ? bandwidth(network[way])
    : `${bandwidth(network[way])} of ${bandwidth(promised)}`;
}

export function formatUsage(usage: Usage, width?: number): string {
  const hosts = formatTable<HostStatus>(
    [
      { heading: "HOST", cell: (row) => row.id },
      { heading: "STATE", cell: (row) => withFence(row, row.state) },
      {
        heading: "SCHEDULING",
        optional: true,
        cell: (row) => (row.scheduling === "open" ? "-" : row.scheduling),
      },
      { heading: "CPU", right: true, cell: (row) => ofCpu(row) },
      { heading: "MEMORY", right: true, cell: (row) => part(row.memoryUsedBytes, row.memoryBytes) },
    ],
    usage.hosts,
    width,
  );
  const appliances = formatTable<ApplianceStatus>(
    [
      { heading: "APPLIANCE", cell: (row) => `${row.ensemble}/${row.name}` },
      { heading: "HOST", cell: (row) => row.host ?? "-" },
      { heading: "STATE", cell: (row) => row.state },
      { heading: "CPU", right: true, cell: (row) => cpu(row.cpuUsedMilli) },
      { heading: "PROMISED", right: true, cell: (row) => cpu(row.cpuReservedMilli) },
      { heading: "RESERVED", right: true, optional: true, cell: (row) => reservation(row.reservation) },
      { heading: "KEPT BY", optional: true, cell: (row) => row.reservation?.enforcement ?? "-" },
      { heading: "MISSES", right: true, optional: true, cell: missesOf },
      { heading: "MEMORY", right: true, cell: (row) => size(row.memoryUsedBytes) },
      { heading: "LIMIT", right: true, cell: (row) => size(row.memoryLimitBytes) },
      { heading: "OUT", right: true, optional: true, cell: (row) => ofTraffic(row, "outBps") },
      { heading: "IN", right: true, optional: true, cell: (row) => ofTraffic(row, "inBps") },
    ],
    usage.appliances,
    width,
  );
  const links = formatTable<Usage["links"][number]>(
    [
      { heading: "LINK", cell: (row) => `${row.ensemble}: ${linkName(row)}` },
      { heading: "CONNECTION", cell: (row) => row.connection },
      { heading: "PROMISED", right: true, cell: (row) => bandwidth(row.bandwidthBps) },
      { heading: "THERE", right: true, cell: (row) => bandwidth(row.forwardBps) },
      { heading: "BACK", right: true, cell: (row) => bandwidth(row.backwardBps) },
    ],
    usage.links,
    width,
  );
  return [
    hosts,
    ...(usage.appliances.length > 0 ? [appliances] : []),
    ...(usage.links.length > 0 ? [links] : []),
    ...underWayLines(usage.operations),
  ].join("\n");
}
