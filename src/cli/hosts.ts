import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { age, bandwidth, cpu, part, size } from "#cli/quantities.ts";
import { formatTable } from "#cli/table.ts";
import { showOrWatch, watchOptions } from "#cli/watch.ts";
import type { HostStatus } from "#protocol/http/status.ts";

export const command: Command = {
  usage: ["hosts"],
  options: { ...apiOptions, ...watchOptions },
  about: [
    "Lists hosts and site gateways: what each has, what is promised of it (RESERVED) and what is used now.",
  ],
  examples: [
    { line: "consort hosts", what: "all hosts" },
    { line: "consort describe host/a1", what: "one of them, with its tunnels and problems" },
  ],
  takes: [0, 0],
  async run(given, context) {
    const client = await connect(given, context);
    return showOrWatch(
      given,
      context,
      (signal) => client.request<HostStatus[]>("GET", "/v1/hosts", signal),
      (hosts) => formatHosts(hosts, context.clock.now()),
    );
  },
};

export function formatHosts(hosts: readonly HostStatus[], nowMs: number): string {
  return formatTable<HostStatus>(
    [
      { heading: "HOST", cell: (row) => row.id },
      { heading: "SITE", cell: (row) => row.site },
      { heading: "ROLE", cell: (row) => row.role },
      { heading: "STATE", cell: (row) => row.state },
      { heading: "APPLIANCES", right: true, cell: (row) => String(row.appliances) },
      { heading: "CPU", right: true, cell: (row) => cpu(row.cpuMilli) },
      { heading: "RESERVED", right: true, cell: (row) => part(row.cpuReservedMilli, row.cpuMilli) },
      { heading: "USED", right: true, cell: (row) => part(row.cpuUsedMilli, row.cpuMilli) },
      { heading: "MEMORY", right: true, cell: (row) => size(row.memoryBytes) },
      { heading: "RESERVED", right: true, cell: (row) => part(row.memoryReservedBytes, row.memoryBytes) },
      { heading: "USED", right: true, cell: (row) => part(row.memoryUsedBytes, row.memoryBytes) },
      { heading: "UPLINK", right: true, cell: (row) => bandwidth(row.uplinkBps) },
      { heading: "SEEN", right: true, cell: (row) => age(row.lastSeenMs, nowMs) },
    ],
    hosts,
  );
}
