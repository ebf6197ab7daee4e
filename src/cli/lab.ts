import { codeOf, ConsortError, errorTable } from "#base/errors.ts";
import { formatBandwidth, formatBytes, formatCpu, millis } from "#base/units.ts";
import { readArguments } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { parsed, readTextFile } from "#cli/ensemble-file.ts";
import { progressOn } from "#cli/progress.ts";
import { count } from "#cli/quantities.ts";
import { formatFacts, formatTable } from "#cli/table.ts";
import { didYouMean } from "#formats/suggestion.ts";
import { defaultLabTopology, parseTopology } from "#formats/topology.ts";
import { labDown, labStatus, labUp } from "#lab/lab.ts";
import { pauseManager, powerOff, powerOn, resumeManager } from "#lab/power.ts";
import type { LabStatus } from "#lab/status.ts";
import type { Topology } from "#model/topology.ts";
import type { PlacementPolicy } from "#planner/mapping.ts";
import type { HostStatus } from "#protocol/http/status.ts";

/** Managers that are not ready by then will not be; their logs say why. */
const readyMsMax = 30_000;
const lookAgainMs = millis(40);

const verbs = { up, down, status, power, pause: paused, resume: paused } as const;

export const command: Command = {
  usage: [
    "lab up [TOPOLOGY.yaml]",
    "lab down",
    "lab status",
    "lab power off|on HOST",
    "lab pause|resume HOST",
  ],
  options: {
    lab: { about: 'The lab\'s name (CONSORT_LAB, else "lab"); several may run side by side', value: "NAME" },
    sites: { about: "up without a file: number of sites (2)", value: "N" },
    hosts: { about: "up without a file: hosts at each site (2)", value: "N" },
    "network-only": { about: "up: hosts, switches and routers without managers" },
    seed: { about: "up: make the manager's choices repeatable", value: "N" },
    policy: {
      about: "up: how hosts are filled, spread (evenly) or pack (one after the other)",
      value: "POLICY",
      oneOf: ["spread", "pack"],
    },
    consolidate: { about: "up: empty hosts that others have room for, by moving what they run" },
  },
  about: [
    "A lab is a cloud on this one machine: hosts are network namespaces with a CPU and memory budget each, joined by\nswitches, sites by a router, every cable with its bandwidth; a host manager runs in each, and a cluster manager.",
    "Both up and down may be interrupted and repeated at any moment: up makes whole what is there, down leaves nothing.",
    "power off takes a host or gateway away as a loss of power does: its manager, its appliances, its part of the network\nat once; its disk stays. power on starts it again. pause lets its manager stand still, with all it believes, while its\nappliances run on; resume wakes it. Nothing is lost by asking twice, and up and down work in every state.",
  ],
  examples: [
    { line: "sudo consort lab up", what: "2 sites of 2 hosts: a1 a2, b1 b2" },
    { line: "sudo consort lab up --sites 1 --hosts 4", what: "one site of four" },
    { line: "sudo consort lab up rack.yaml --lab red", what: "your own wiring, beside another lab" },
    { line: "sudo consort lab power off a1", what: "lose host a1 and all it runs" },
    { line: "sudo consort lab pause a1", what: "a manager that wakes up believing it is still in charge" },
    { line: "sudo consort lab down", what: "back to nothing" },
  ],
  takes: [1, 3],
  async run(given, context) {
    const [verb = "", ...rest] = given.positionals;
    if (!isVerb(verb) || rest.length > argumentsMax[verb]) {
      const takes = isVerb(verb) ? `lab ${verb} takes ${argumentsMax[verb] || "no"} more` : undefined;
      const suggestion = takes ?? didYouMean(verb, Object.keys(verbs));
      throw new ConsortError(
        "bad_input",
        `Cannot run consort lab ${given.positionals.join(" ")}: ${suggestion ?? `wanted ${Object.keys(verbs).join(", ")}`}`,
      );
    }
    return verbs[verb](given, context, rest[0]);
  },
};

/** Words after the verb. */
const argumentsMax = { up: 1, down: 0, status: 0, power: 2, pause: 1, resume: 1 } satisfies Record<
  keyof typeof verbs,
  number
>;

const isVerb = (verb: string): verb is keyof typeof verbs => Object.hasOwn(verbs, verb);

async function placeOf(given: Arguments, context: CommandContext) {
  const { lab, stateRoot, runRoot } = context.surroundings;
  return { name: given.text("lab") ?? lab, stateRoot, runRoot, machine: await context.tools.labMachine() };
}

function wantRoot(action: string): void {
  const uid = process.getuid?.();
  if (uid === undefined || uid === 0) return;
  throw new ConsortError(
    "forbidden",
    `Cannot ${action} a lab: you are user ${uid}, wanted root, who may make namespaces (sudo consort lab …)`,
  );
}

async function up(given: Arguments, context: CommandContext, file: string | undefined): Promise<number> {
  wantRoot("build");
  const topology = await topologyOf(given, context, file);
  const place = await placeOf(given, context);
  const progress = progressOn(context);
  const seed = given.number("seed");
  const policy = policyOf(given);
  const startedAtMs = context.clock.monotonic();
  const json = given.has("json");
  const managers = !given.has("network-only");
  const show = (line: string): void => {
    if (!json) progress.show(`lab ${place.name}: ${line}`);
  };
  try {
    await labUp(
      { ...place, topology, managers, policy, progress: show, ...(seed === undefined ? {} : { seed }) },
      context.signal,
    );
    if (managers) await hostsReady(place.name, answering(labStatus(place)), context, show);
  } catch (error) {
    if (!context.signal.aborted) throw error;
    progress.end();
    context.terminal.err(
      `Interrupted: lab ${place.name} is built in part; consort lab up makes it whole, consort lab down removes it\n`,
    );
    return errorTable.cancelled.exit;
  } finally {
    progress.end();
  }
  if (json) return print(labStatus(place), true, context);
  const seconds = ((context.clock.monotonic() - startedAtMs) / 1000).toFixed(2);
  context.terminal.out(`${summary(place.name, topology)} in ${seconds} s\n`);
  return 0;
}

function policyOf(given: Arguments): { placement: PlacementPolicy; consolidate: boolean } {
  const placement = given.text("policy") ?? "spread";
  if (placement !== "spread" && placement !== "pack")
    throw new ConsortError(
      "bad_input",
      `Cannot run consort lab up: --policy is "${placement}", wanted spread or pack`,
    );
  return { placement, consolidate: given.has("consolidate") };
}

async function topologyOf(
  given: Arguments,
  context: CommandContext,
  file: string | undefined,
): Promise<Topology> {
  if (file !== undefined) return parsed(file, parseTopology(await readTextFile(file, context), { file }));
  return defaultLabTopology(given.number("sites") ?? 2, given.number("hosts") ?? 2);
}

/** Hosts that are neither powered off nor paused. */
const answering = (lab: LabStatus): number =>
  lab.nodes.filter((node) => node.kind === "host" && node.power === "on").length;

/** Waits until the cluster manager answers and has heard from every host. */
async function hostsReady(
  lab: string,
  wanted: number,
  context: CommandContext,
  show: (line: string) => void,
): Promise<void> {
  const { clock, signal } = context;
  const deadline = clock.monotonic() + readyMsMax;
  const named = readArguments("lab", ["--lab", lab], command.options);
  let ready = 0;
  show("waiting for the cluster manager");
  while (clock.monotonic() < deadline) {
    try {
      const hosts = await (await connect(named, context)).request<HostStatus[]>("GET", "/v1/hosts", signal);
      ready = hosts.filter((host) => host.role === "host" && host.state !== "lost").length;
      if (ready >= wanted) return;
      show(`waiting for hosts: ${ready} of ${wanted} are ready`);
    } catch (error) {
      signal.throwIfAborted();
      if (!["unavailable", "unauthenticated"].includes(codeOf(error))) throw error;
    }
    await clock.sleep(lookAgainMs, signal);
  }
  throw new ConsortError(
    "timeout",
    `Cannot finish lab ${lab}: ${ready} of ${wanted} hosts are ready after ${readyMsMax / 1000} s; the managers' logs are in ${context.surroundings.stateRoot}/labs/${lab}/logs`,
  );
}

function summary(name: string, topology: Topology): string {
  const [first] = topology.hosts;
  const each =
    first === undefined
      ? ""
      : `, ${topology.hosts.length === 1 ? "" : "the first "}with ${formatCpu(first.cpuMilli)} CPU and ${formatBytes(first.memoryBytes)}`;
  const rates = [...new Set(topology.links.map((link) => formatBandwidth(link.bandwidthBps)))].join(", ");
  return `Lab ${name} is up: ${count(topology.sites.length, "site")}, ${count(topology.hosts.length, "host")}${each}; cables of ${rates};`;
}

async function down(given: Arguments, context: CommandContext): Promise<number> {
  wantRoot("remove");
  const place = await placeOf(given, context);
  try {
    await labDown(place, context.signal);
  } catch (error) {
    if (!context.signal.aborted) throw error;
    context.terminal.err(
      `Interrupted: part of lab ${place.name} is left; consort lab down removes the rest\n`,
    );
    return errorTable.cancelled.exit;
  }
  if (given.has("json")) return print(labStatus(place), true, context);
  context.terminal.out(`Lab ${place.name} is down; nothing of it is left\n`);
  return 0;
}

async function power(given: Arguments, context: CommandContext): Promise<number> {
  const [, state, node] = given.positionals;
  if ((state !== "on" && state !== "off") || node === undefined) {
    throw new ConsortError("bad_input", "Cannot run consort lab power: wanted off or on, then a host's name");
  }
  wantRoot("power a host of");
  const options = { ...(await placeOf(given, context)), node };
  await (state === "off" ? powerOff : powerOn)(options, context.signal);
  return told(given, context, `${node} of lab ${options.name} is powered ${state}`);
}

async function paused(given: Arguments, context: CommandContext): Promise<number> {
  const [verb, node] = given.positionals;
  if (node === undefined) {
    throw new ConsortError("bad_input", `Cannot run consort lab ${verb}: wanted a host's name`);
  }
  wantRoot(`${verb} a host of`);
  const options = { ...(await placeOf(given, context)), node };
  await (verb === "pause" ? pauseManager : resumeManager)(options, context.signal);
  return told(
    given,
    context,
    `The manager of ${node} in lab ${options.name} ${verb === "pause" ? "stands still" : "goes on"}`,
  );
}

async function told(given: Arguments, context: CommandContext, sentence: string): Promise<number> {
  if (given.has("json")) return print(labStatus(await placeOf(given, context)), true, context);
  context.terminal.out(`${sentence}\n`);
  return 0;
}

async function status(given: Arguments, context: CommandContext): Promise<number> {
  return print(labStatus(await placeOf(given, context)), given.has("json"), context);
}

function print(lab: LabStatus, json: boolean, context: CommandContext): number {
  context.terminal.out(json ? `${JSON.stringify(lab, undefined, 2)}\n` : formatLab(lab));
  return 0;
}

function formatLab(lab: LabStatus): string {
  const unrecorded = lab.state === "partial" && !lab.recorded ? " (without a record: consort lab down)" : "";
  const facts = formatFacts([
    ["lab", lab.name],
    ["state", `${lab.state}${unrecorded}`],
    ["state directory", lab.state === "down" ? undefined : lab.stateDir],
    ["supervisor", lab.supervisor === undefined ? undefined : `process ${lab.supervisor.pid}`],
  ]);
  if (lab.state === "down") return `${facts}Build it: sudo consort lab up\n`;
  const processes = new Map(lab.programs.map((program) => [program.name, program.process]));
  const nodes = formatTable<LabStatus["nodes"][number]>(
    [
      { heading: "NODE", cell: (row) => row.id },
      { heading: "KIND", cell: (row) => row.kind },
      { heading: "SITE", cell: (row) => row.site ?? "-" },
      { heading: "ADDRESS", cell: (row) => row.address ?? "-" },
      { heading: "POWER", cell: (row) => row.power ?? "-" },
      {
        heading: "NAMESPACE",
        cell: (row) => (row.present || row.power === "off" ? row.netns : `${row.netns} (missing)`),
      },
    ],
    lab.nodes,
  );
  const programs = formatTable<string>(
    [
      { heading: "PROGRAM", cell: (name) => name },
      { heading: "PROCESS", right: true, cell: (name) => String(processes.get(name)?.pid ?? "not running") },
    ],
    [...processes.keys()],
  );
  return `${facts}\n${nodes}${processes.size === 0 ? "" : `\n${programs}`}`;
}
