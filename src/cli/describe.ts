import { ConsortError } from "#base/errors.ts";
import { adaptationTables, reservedText, teamText, trafficText } from "#cli/adaptation-text.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import { lineWidth } from "#cli/command.ts";
import type { Command } from "#cli/command.ts";
import { linkName, shortName } from "#cli/names.ts";
import { formatAppliances } from "#cli/ps.ts";
import { age, bandwidth, cpu, size } from "#cli/quantities.ts";
import { formatFacts, formatTable } from "#cli/table.ts";
import { changesUnderWay, underWayLines } from "#cli/under-way.ts";
import { guestFacts, vmFacts } from "#cli/vm-text.ts";
import { didYouMean } from "#formats/suggestion.ts";
import type { ApplianceStatus, EnsembleStatus, HostStatus, LinkStatus } from "#protocol/http/status.ts";

/** When and for which width of a terminal it is written. */
type View = { readonly nowMs: number; readonly width: number };

type Described = {
  readonly value: unknown;
  readonly text: string;
  /** Whose changes are shown with it. */
  readonly about: { readonly ensemble: string } | { readonly host: string };
};

export const command: Command = {
  usage: ["describe NAME", "describe NAME/APPLIANCE", "describe host/ID"],
  options: apiOptions,
  about: [
    "Everything known of one thing: its state, what it is promised, what it uses, its networks and links.",
  ],
  examples: [
    { line: "consort describe shop", what: "an ensemble, with its links measured" },
    { line: "consort describe shop/web-1", what: "one appliance" },
    { line: "consort describe host/a1", what: "one host" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const client = await connect(given, context);
    const subject = given.positionals[0] ?? "";
    const view = { nowMs: context.clock.now(), width: lineWidth(context.terminal) };
    const { value, text, about } = await describe(client, subject, view, context.signal);
    if (given.has("json")) {
      context.terminal.out(`${JSON.stringify(value, undefined, 2)}\n`);
      return 0;
    }
    const changes = (await changesUnderWay(client, context.signal)).filter((change) =>
      "host" in about ? change.host === about.host : change.ensemble === about.ensemble,
    );
    context.terminal.out([text, ...underWayLines(changes)].join("\n"));
    return 0;
  },
};

async function describe(
  client: Client,
  subject: string,
  view: View,
  signal: AbortSignal,
): Promise<Described> {
  const [first = "", second] = subject.split("/", 2);
  if (first === "host" && second !== undefined) {
    const hosts = await client.request<HostStatus[]>("GET", "/v1/hosts", signal);
    const host = pick("host", second, hosts, (one) => one.id);
    return { value: host, text: formatHost(host, view.nowMs), about: { host: second } };
  }
  const ensemble = await client
    .request<EnsembleStatus>("GET", route`/v1/ensembles/${first}`, signal)
    .catch((cause: unknown) => orHost(cause, client, subject, signal));
  const about = { ensemble: first };
  if (second === undefined) return { value: ensemble, text: formatEnsemble(ensemble, view), about };
  const appliance = pick(`appliance of ${first}`, second, ensemble.appliances, (one) => one.name);
  const links = ensemble.links.filter((link) =>
    [link.from, link.to].some((end) => isSame(end, first, second)),
  );
  return { value: { ...appliance, links }, text: formatAppliance(appliance, links, view), about };
}

/** What is no ensemble's name may be a host's, which is asked for in another way. */
async function orHost(cause: unknown, client: Client, name: string, signal: AbortSignal): Promise<never> {
  if (!(cause instanceof ConsortError) || cause.code !== "not_found") throw cause;
  const hosts = await client.request<HostStatus[]>("GET", "/v1/hosts", signal);
  if (!hosts.some(({ id }) => id === name)) throw cause;
  throw new ConsortError("not_found", `${cause.message}; did you mean host/${name}?`, { cause });
}

const isSame = (end: string, ensemble: string, appliance: string): boolean =>
  end === appliance || end === `${ensemble}/${appliance}`;

function pick<One>(what: string, name: string, all: readonly One[], nameOf: (one: One) => string): One {
  const found = all.find((one) => nameOf(one) === name);
  if (found !== undefined) return found;
  const suggestion = didYouMean(name, all.map(nameOf));
  throw new ConsortError(
    "not_found",
    `Cannot describe ${name}: no such ${what}${suggestion === undefined ? "" : `; ${suggestion}`}`,
  );
}

export function formatEnsemble(ensemble: EnsembleStatus, { nowMs, width }: View): string {
  const facts = formatFacts([
    ["ensemble", ensemble.name],
    ["description", ensemble.description],
    ["state", ensemble.state],
    ["message", ensemble.message],
    ["revision", String(ensemble.revision)],
    ...ensemble.networks.map(
      (network) =>
        [`network ${network.name}`, `${network.subnet}, VXLAN ${network.vni}, MTU ${network.mtu}`] as const,
    ),
  ]);
  return [
    facts,
    formatAppliances(ensemble, nowMs, width),
    ...linkTable(ensemble.links, width),
    ...adaptationTables(ensemble, nowMs, width),
  ].join("\n");
}

function formatAppliance(
  appliance: ApplianceStatus,
  links: readonly LinkStatus[],
  { nowMs, width }: View,
): string {
  const facts = formatFacts([
    ["appliance", `${appliance.ensemble}/${appliance.name}`],
    ["kind", appliance.kind],
    ...vmFacts(appliance.vm),
    ["state", appliance.state],
    ["message", appliance.message],
    ["host", appliance.host],
    ["site", appliance.site],
    ["running for", runningFor(appliance, nowMs)],
    ["restart", appliance.restart],
    ["restarts", String(appliance.restarts)],
    ["CPU used", cpu(appliance.cpuUsedMilli)],
    ["CPU promised", appliance.cpuReservedMilli === undefined ? undefined : cpu(appliance.cpuReservedMilli)],
    ["CPU reserved", reservedText(appliance)],
    ...(appliance.teams ?? []).map((team) => [`team ${team.name}`, teamText(team)] as const),
    ["held", appliance.suspended === true ? "yes: consort resume lets it go on" : undefined],
    [
      "adjusted",
      appliance.adjusted === true ? `yes: consort export ${appliance.ensemble} shows how` : undefined,
    ],
    ["traffic", trafficText(appliance)],
    ["sends now", appliance.network === undefined ? undefined : bandwidth(appliance.network.outBps)],
    ["gets now", appliance.network === undefined ? undefined : bandwidth(appliance.network.inBps)],
    ["memory used", size(appliance.memoryUsedBytes)],
    ["memory limit", appliance.memoryLimitBytes === undefined ? undefined : size(appliance.memoryLimitBytes)],
    ...guestFacts(appliance.guest),
    ...appliance.addresses.map(
      ({ network, address, mac }) => [`network ${network}`, `${address}, ${mac}`] as const,
    ),
  ]);
  return [facts, ...linkTable(links, width)].join("\n");
}

function runningFor({ state, startedAtMs }: ApplianceStatus, nowMs: number): string | undefined {
  return state !== "running" || startedAtMs === undefined ? undefined : age(startedAtMs, nowMs);
}

function linkTable(links: readonly LinkStatus[], width: number): string[] {
  if (links.length === 0) return [];
  return [
    formatTable<LinkStatus>(
      [
        { heading: "LINK", cell: linkName },
        { heading: "NETWORK", cell: (row) => shortName(row.network) },
        { heading: "PROMISED", right: true, cell: (row) => bandwidth(row.bandwidthBps) },
        { heading: "CEILING", right: true, optional: true, cell: (row) => bandwidth(row.ceilingBps) },
        { heading: "THERE", right: true, cell: (row) => bandwidth(row.forwardBps) },
        { heading: "BACK", right: true, cell: (row) => bandwidth(row.backwardBps) },
        { heading: "CONNECTION", cell: (row) => row.connection },
        { heading: "PATH", cell: (row) => row.path.join(" > ") },
      ],
      links,
      width,
    ),
  ];
}

function formatHost(host: HostStatus, nowMs: number): string {
  return formatFacts([
    ["host", host.id],
    ["site", host.site],
    ["role", host.role],
    ["state", host.state],
    ["scheduling", host.scheduling],
    [
      "fenced",
      host.fenced
        ? "yes: what it ran was given to other hosts; it takes part again once it holds nothing else than its plan"
        : undefined,
    ],
    ["address", host.address],
    ["labels", labelText(host.labels)],
    ["last seen", `${age(host.lastSeenMs, nowMs)} ago`],
    ["appliances", String(host.appliances)],
    ["CPU", `${cpu(host.cpuMilli)}, ${cpu(host.cpuReservedMilli)} promised, ${cpu(host.cpuUsedMilli)} used`],
    [
      "memory",
      `${size(host.memoryBytes)}, ${size(host.memoryReservedBytes)} promised, ${size(host.memoryUsedBytes)} used`,
    ],
    ["uplink", `${bandwidth(host.uplinkBps)}, ${bandwidth(host.uplinkReservedBps ?? 0)} promised`],
    ...host.tunnels.map(
      ({ peerSite, kind, up }) => [`tunnel to ${peerSite}`, `${kind}, ${up ? "up" : "down"}`] as const,
    ),
    ...host.problems.map((problem) => ["problem", problem] as const),
  ]);
}

function labelText(labels: Readonly<Record<string, string>>): string | undefined {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? undefined : pairs.join(" ");
}
