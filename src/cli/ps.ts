import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { age, cpu, reservation, size } from "#cli/quantities.ts";
import { formatTable, printable } from "#cli/table.ts";
import { changesUnderWay, underWayLines } from "#cli/under-way.ts";
import { showOrWatch, watchOptions } from "#cli/watch.ts";
import { machineText } from "#cli/vm-text.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { ApplianceStatus, EnsembleStatus } from "#protocol/http/status.ts";

export const command: Command = {
  usage: ["ps [NAME]"],
  options: {
    ...apiOptions,
    ...watchOptions,
    quiet: { about: "Only the names of all ensembles, one a line", short: "q" },
    appliances: { about: "With --quiet: the names of all their appliances too, as NAME/APPLIANCE" },
  },
  about: [
    "Lists all ensembles, or the appliances of one: where each runs, its state, addresses and use; below them what\nis waited for, and the changes under way.",
    "READY: those that run, or have ended as they should.",
    "STATE of an appliance: suspended while it is held by consort suspend or a strategy; lost when its host is not heard of,\nfenced while it is held because its host's lease has run out; both run again on another host, or when theirs is back.",
  ],
  examples: [
    { line: "consort ps", what: "all ensembles" },
    { line: "consort ps shop --watch", what: "the appliances of shop, as they change" },
    { line: "consort ps shop --json | jq '.appliances[].host'", what: "for programs" },
  ],
  takes: [0, 1],
  async run(given, context) {
    const client = await connect(given, context);
    const [name] = given.positionals;
    if (given.has("quiet") && !given.has("json")) {
      const all = await client.request<EnsembleStatus[]>("GET", "/v1/ensembles", context.signal);
      const names = all.flatMap(({ name: ensemble, appliances }) => [
        ensemble,
        ...(given.has("appliances") ? appliances.map((one) => `${ensemble}/${one.name}`) : []),
      ]);
      context.terminal.out(names.map((one) => `${printable(one)}\n`).join(""));
      return 0;
    }
    const path = name === undefined ? "/v1/ensembles" : route`/v1/ensembles/${name}`;
    return showOrWatch<Listed>(
      given,
      context,
      async (signal) => {
        const [told, changes] = await Promise.all([
          client.request<EnsembleStatus | EnsembleStatus[]>("GET", path, signal),
          given.has("json") ? [] : changesUnderWay(client, signal),
        ]);
        return { told, changes };
      },
      (listed, width) => formatListed(listed, context.clock.now(), width),
      { json: ({ told }) => told },
    );
  },
};

/** One ensemble or all, and the changes that run. */
type Listed = {
  readonly told: EnsembleStatus | readonly EnsembleStatus[];
  readonly changes: readonly Operation[];
};

function formatListed({ told, changes }: Listed, nowMs: number, width: number): string {
  if (!("name" in told)) return [formatEnsembles(told, width), ...underWayLines(changes)].join("\n");
  const hosts = new Set(told.appliances.map(({ host }) => host));
  const concerns = ({ ensemble, host }: Operation): boolean =>
    ensemble === told.name || (host !== undefined && hosts.has(host));
  const shown = changes.filter(concerns);
  const isSaid = shown.some(({ message }) => message === told.message);
  return [
    formatAppliances(told, nowMs, width),
    ...(isSaid ? [] : messageLine(told)),
    ...underWayLines(shown),
  ].join("\n");
}

/** Why it is not as desired; nothing when it is. */
const messageLine = ({ name, state, message }: EnsembleStatus): string[] =>
  message === undefined ? [] : [`${printable(`${name} is ${state}: ${message}`)}\n`];

export function formatEnsembles(ensembles: readonly EnsembleStatus[], width?: number): string {
  if (ensembles.length === 0) return "No ensembles. Start one: consort up FILE\n";
  return formatTable<EnsembleStatus>(
    [
      { heading: "ENSEMBLE", cell: (row) => row.name },
      { heading: "STATE", cell: (row) => row.state },
      { heading: "READY", right: true, cell: (row) => `${ready(row)}/${row.appliances.length}` },
      { heading: "NETWORKS", right: true, cell: (row) => String(row.networks.length) },
      { heading: "LINKS", right: true, cell: (row) => String(row.links.length) },
      { heading: "HOSTS", cell: (row) => hostsOf(row) },
      { heading: "MESSAGE", optional: true, cell: (row) => row.message ?? "" },
    ],
    ensembles,
    width,
  );
}

/** As the progress of up counts them: what has ended well is ready, too, and so is what is held and to be held. */
const ready = ({ appliances }: EnsembleStatus): number =>
  appliances.filter(({ state, suspended = false }) =>
    state === "suspended" || state === "running" ? suspended === (state === "suspended") : state === "exited",
  ).length;

const hostsOf = (ensemble: EnsembleStatus): string =>
  [...new Set(ensemble.appliances.flatMap((appliance) => appliance.host ?? []))]
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .join(",");

export function formatAppliances(ensemble: EnsembleStatus, nowMs: number, width?: number): string {
  return formatTable<ApplianceStatus>(
    [
      { heading: "APPLIANCE", cell: (row) => `${row.ensemble}/${row.name}` },
      { heading: "KIND", cell: (row) => row.kind },
      { heading: "MACHINE", optional: true, cell: (row) => machineText(row.vm) },
      { heading: "STATE", cell: (row) => row.state },
      { heading: "HOST", cell: (row) => row.host ?? "-" },
      { heading: "AGE", right: true, cell: (row) => age(row.startedAtMs, nowMs) },
      { heading: "RESTARTS", right: true, cell: (row) => String(row.restarts) },
      { heading: "CPU", right: true, cell: (row) => cpu(row.cpuUsedMilli) },
      { heading: "RESERVED", right: true, optional: true, cell: (row) => reservation(row.reservation) },
      { heading: "MEMORY", right: true, cell: (row) => size(row.memoryUsedBytes) },
      {
        heading: "ADDRESSES",
        optional: true,
        cell: (row) => row.addresses.map(({ address }) => address).join(","),
      },
      { heading: "MESSAGE", optional: true, cell: (row) => row.message ?? "" },
    ],
    ensemble.appliances,
    width,
  );
}
