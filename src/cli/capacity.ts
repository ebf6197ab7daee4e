import { ConsortError } from "#base/errors.ts";
import type { HostId } from "#base/ids.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { parsed, readEnsemble, readTextFile } from "#cli/ensemble-file.ts";
import { part } from "#cli/quantities.ts";
import { printable } from "#cli/table.ts";
import { parseSnapshot } from "#formats/snapshot.ts";
import type { SnapshotDocument } from "#formats/snapshot.ts";
import { parseTopology } from "#formats/topology.ts";
import type { Ensemble } from "#model/ensemble.ts";
import { promisableTopology } from "#model/wire.ts";
import { capacityOf, promisesNothing } from "#planner/capacity.ts";
import type { CapacityAnswer, CapacityOptions } from "#planner/capacity.ts";
import { describedAbilities } from "#planner/demand.ts";
import type { PlacedCloud } from "#planner/departure.ts";
import type { Violation } from "#planner/mapping.ts";
import { abilitiesOf } from "#protocol/capability-names.ts";

const copiesMost = 1000;
const secondsMost = 60;

export const command: Command = {
  usage: ["capacity FILE", "capacity --topology TOPOLOGY FILE", "capacity --snapshot SNAPSHOT FILE"],
  options: {
    ...apiOptions,
    survive: {
      about: "any-host (unless told): while any one host may be lost; none: with all hosts as they are",
      value: "WHAT",
      oneOf: ["any-host", "none"],
    },
    topology: {
      about: "Ask of the cluster this file describes, empty; no manager is asked",
      value: "TOPOLOGY",
    },
    snapshot: { about: "Ask of the cloud as it was when consort snapshot wrote this", value: "SNAPSHOT" },
    most: { about: `Look for no more copies than this (${copiesMost})`, value: "N" },
    seconds: { about: `Look no longer than this (${secondsMost})`, value: "N" },
  },
  about: [
    "Finds how many more copies of an ensemble would be admitted beside all that runs, by the code that up uses, without\nstarting any: each on hosts with the CPU and memory for it, with its links on cables that have the bandwidth.",
    "While any one host may be lost: whichever it is, everything on it that may run elsewhere, of what runs now and of the\ncopies, finds another host then, with its links. What waits in place goes on counting. Cordoned, draining and fenced\nhosts take nothing.",
    "The answer is a number that is proven by placements (--json lists them), what refuses one more, and whether what\nruns now survives the loss of any one host.",
  ],
  examples: [
    { line: "consort capacity shop.yaml", what: "how many more, and still safe" },
    {
      line: "consort capacity --survive none --topology rack.yaml shop.yaml",
      what: "would fill an empty cluster",
    },
  ],
  takes: [1, 1],
  async run(given, context) {
    const survive = surviveOf(given.text("survive"));
    const ensemble = await readEnsemble(given.positionals[0] ?? "", context);
    const cloud = await cloudOf(given, context);
    const endMs = context.clock.monotonic() + 1000 * (given.number("seconds") ?? secondsMost);
    const answer = capacityOf(
      { ...cloud, ensemble },
      {
        seed: 1,
        survive,
        copiesMost: given.number("most") ?? copiesMost,
        shouldStop: () => context.signal.aborted || context.clock.monotonic() >= endMs,
      },
    );
    context.signal.throwIfAborted();
    if (given.has("json")) {
      const { placed, ...rest } = answer;
      const placements = placed.map((one) => Object.fromEntries(one.placements));
      context.terminal.out(
        `${JSON.stringify({ ensemble: ensemble.name, survive, ...rest, placements }, undefined, 2)}\n`,
      );
    } else context.terminal.out(formatCapacity(answer, ensemble, survive, cloud.placed.length > 0));
    return 0;
  },
};

function surviveOf(text: string | undefined): CapacityOptions["survive"] {
  if (text === undefined || text === "any-host") return "any-host";
  if (text === "none") return "none";
  throw new ConsortError(
    "bad_input",
    `Cannot run consort capacity: --survive is "${text}", wanted any-host or none`,
  );
}

async function cloudOf(given: Arguments, context: CommandContext): Promise<PlacedCloud> {
  const topologyFile = given.text("topology");
  const snapshotFile = given.text("snapshot");
  if (topologyFile !== undefined && snapshotFile !== undefined)
    throw new ConsortError(
      "bad_input",
      "Cannot run consort capacity: --topology and --snapshot are two clouds, wanted one",
    );
  if (topologyFile !== undefined) {
    const text = await readTextFile(topologyFile, context);
    const topology = parsed(topologyFile, parseTopology(text, { file: topologyFile }));
    return { topology, placed: [], capabilities: describedAbilities(topology) };
  }
  if (snapshotFile !== undefined) {
    const text = await readTextFile(snapshotFile, context);
    return placedCloud(parsed(snapshotFile, parseSnapshot(text, snapshotFile)));
  }
  const client = await connect(given, context);
  return placedCloud(await client.request<SnapshotDocument>("GET", "/v1/snapshot", context.signal));
}

/** As admission sees it: what is promised, and hosts that are open and have joined. */
function placedCloud({ topology, hosts, standings, ensembles }: SnapshotDocument): PlacedCloud {
  const capabilities = new Map(hosts.map((host) => [host.id, abilitiesOf(host.capabilities)]));
  const takesNothing = (id: HostId): boolean => {
    const standing = standings[id];
    return (
      !capabilities.has(id) || (standing !== undefined && (standing.fenced || standing.scheduling !== "open"))
    );
  };
  return {
    topology: promisableTopology(topology),
    placed: ensembles.map(({ ensemble, placements, paths }) => ({
      ensemble,
      placements: new Map(Object.entries(placements) as [never, HostId][]),
      paths,
    })),
    unusableHosts: new Set(topology.hosts.map(({ id }) => id).filter(takesNothing)),
    capabilities,
  };
}

export function formatCapacity(
  answer: CapacityAnswer,
  ensemble: Ensemble,
  survive: CapacityOptions["survive"],
  runsSomething: boolean,
): string {
  const { copies, binding, utilisation } = answer;
  const { name } = ensemble;
  const which = survive === "none" ? "" : " while any one host may be lost";
  const stopped = binding.kind === "count" || binding.kind === "time";
  const now = runsSomething ? formatNow(answer) : "";
  if (stopped && copies > 0 && promisesNothing(ensemble))
    return `Any number of copies of ${name} fits${which}: it asks for no CPU, memory or bandwidth (${copies} were placed)\n${now}`;
  const fit = `${copies} more ${copies === 1 ? "copy" : "copies"} of ${name} ${copies === 1 ? "fits" : "fit"}${which}`;
  const links = utilisation.links.map(({ a, b, share }) => `${a} – ${b} ${part(share, 1)}`);
  const promised = `CPU ${part(utilisation.cpu, 1)}, memory ${part(utilisation.memory, 1)}`;
  return [
    `${fit}\n`,
    `Promised then: ${promised}${links.length === 0 ? "" : `; most on links: ${links.map(printable).join(", ")}`}\n`,
    now,
    answer.fatalNow !== undefined && binding.kind === "host-loss" ? "" : formatBinding(binding, copies),
  ].join("");
}

/** Of what runs already, whatever is asked about copies. */
function formatNow({ fatalNow, binding }: CapacityAnswer): string {
  if (fatalNow === undefined)
    return binding.kind === "time" ? "" : "What runs now survives the loss of any one host\n";
  const before = binding.kind === "host-loss" ? ", so no copy is counted" : "";
  return `What runs now does not survive the loss of ${printable(fatalNow.host)}${before}:\n${reasons(fatalNow)}`;
}

function formatBinding(binding: CapacityAnswer["binding"], copies: number): string {
  switch (binding.kind) {
    case "count":
      return "More may fit: it was looked for no more (--most)\n";
    case "time":
      return "More may fit: the time to look was over (--seconds)\n";
    case "host-loss": {
      const one = copies === 0 ? "With a single copy" : "With one more";
      return `${one}, the loss of ${printable(binding.host)} would leave something without a place:\n${reasons(binding)}`;
    }
    case "admission":
      return `One more is refused:\n${reasons(binding)}`;
    default:
      return binding satisfies never;
  }
}

const reasons = ({ violations }: { readonly violations: readonly Violation[] }): string =>
  violations
    .map(({ message, remedy }) => `  x ${printable(message)}\n      remedy: ${printable(remedy)}\n`)
    .join("");
