import { ConsortError } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { withFence } from "#cli/names.ts";
import { age, bandwidth, cpu, size } from "#cli/quantities.ts";
import { formatTable, printable } from "#cli/table.ts";
import { showOrWatch, watchOptions } from "#cli/watch.ts";
import type { HostStatus } from "#protocol/http/status.ts";

export const command: Command = {
  usage: ["hosts"],
  options: {
    ...apiOptions,
    ...watchOptions,
    quiet: { about: "Only the ids, one a line", short: "q" },
    role: { about: "Only those of this role: host or gateway", value: "ROLE", oneOf: ["host", "gateway"] },
  },
  about: [
    "Lists hosts and site gateways: CPU and memory promised of what there is, and what is used now. CPU is in parts of\na core: 150% is one and a half. UPLINK: what links and traffic are promised\nof the cable, with headers.",
    "SCHEDULING: cordoned hosts get nothing new, draining ones are emptied; see consort host. fenced: what the host ran\nwas given to others, and it takes part again once it is clean.",
  ],
  examples: [
    { line: "consort hosts", what: "all hosts" },
    { line: "consort describe host/a1", what: "one of them, with its tunnels and problems" },
  ],
  takes: [0, 0],
  async run(given, context) {
    const role = given.text("role");
    if (role !== undefined && role !== "host" && role !== "gateway")
      throw new ConsortError(
        "bad_input",
        `Cannot run consort hosts: --role is "${role}", wanted host or gateway`,
      );
    const client = await connect(given, context);
    const listed = async (signal: AbortSignal): Promise<HostStatus[]> => {
      const hosts = await client.request<HostStatus[]>("GET", "/v1/hosts", signal);
      return hosts.filter((host) => role === undefined || host.role === role);
    };
    if (given.has("quiet") && !given.has("json")) {
      const hosts = await listed(context.signal);
      context.terminal.out(
        inOrder(hosts)
          .map(({ id }) => `${printable(id)}\n`)
          .join(""),
      );
      return 0;
    }
    return showOrWatch(given, context, listed, (hosts, width) =>
      formatHosts(hosts, context.clock.now(), width),
    );
  },
};

export function formatHosts(hosts: readonly HostStatus[], nowMs: number, width?: number): string {
  return formatTable<HostStatus>(
    [
      { heading: "HOST", cell: (row) => row.id },
      { heading: "SITE", cell: (row) => row.site },
      { heading: "ROLE", cell: (row) => row.role },
      {
        heading: "STATE",
        cell: (row) => withFence(row, row.state === "lost" ? lost(row, nowMs) : row.state),
      },
      {
        heading: "SCHEDULING",
        optional: true,
        cell: (row) => (row.scheduling === "open" ? "-" : row.scheduling),
      },
      { heading: "RUNS", right: true, cell: (row) => onHost(row, String(row.appliances)) },
      {
        heading: "CPU",
        right: true,
        cell: (row) => onHost(row, `${cpu(row.cpuReservedMilli)} of ${cpu(row.cpuMilli)}`),
      },
      { heading: "USED", right: true, cell: (row) => onHost(row, cpu(row.cpuUsedMilli)) },
      {
        heading: "MEMORY",
        right: true,
        cell: (row) => onHost(row, `${size(row.memoryReservedBytes)} of ${size(row.memoryBytes)}`),
      },
      { heading: "USED", right: true, cell: (row) => onHost(row, size(row.memoryUsedBytes)) },
      { heading: "UPLINK", right: true, optional: true, cell: uplinkText },
    ],
    inOrder(hosts),
    width,
  );
}

/** Site by site, hosts before gateways. */
function inOrder(hosts: readonly HostStatus[]): HostStatus[] {
  const key = ({ site, role, id }: HostStatus): string => `${site}\n${role === "gateway" ? 1 : 0}\n${id}`;
  return hosts.toSorted((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
}

/** Gateways carry frames, no appliances. */
const onHost = (host: HostStatus, text: string): string => (host.role === "gateway" ? "-" : text);

/** "5.2Mbit/s of 10Mbit/s" where any of it is promised. */
const uplinkText = ({ uplinkReservedBps, uplinkBps }: HostStatus): string =>
  uplinkReservedBps === undefined ? "-" : `${bandwidth(uplinkReservedBps)} of ${bandwidth(uplinkBps)}`;

const lost = (host: HostStatus, nowMs: number): string => `lost ${age(host.lastSeenMs, nowMs)}`;
