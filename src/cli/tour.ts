import { fileURLToPath } from "node:url";
import { bringUp, takeDown } from "#cli/change.ts";
import { readArguments } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { readEnsemble } from "#cli/ensemble-file.ts";
import { command as lab } from "#cli/lab.ts";
import { progressOn } from "#cli/progress.ts";
import { captureIn } from "#cli/remote-exec.ts";
import { runContention } from "#cli/tour/contention.ts";
import type { ContentionCase, ContentionCloud } from "#cli/tour/contention.ts";
import { contentionPlot, contentionTable } from "#cli/tour/contention-table.ts";

const defaultSeconds = 8;
const requestsPerSecond = 150;

const example = (name: string): string => fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));

export const command: Command = {
  usage: ["tour"],
  options: {
    once: { about: "Remove everything again at the end" },
    seconds: { about: `How long each of the three cases is measured (${defaultSeconds})`, value: "N" },
  },
  about: [
    "A lab of two sites with two hosts each, and on it the contention experiment: web pages are fetched while bulk data\nmoves over the same host link, first with nobody to keep the link, then with both links promised their bandwidth.",
    "Everything is real: nginx, h2load and iperf3 in task appliances, cgroups, nftables and HTB below them. It stays up\nfor exploring; with --once it is removed.",
  ],
  examples: [
    { line: "sudo consort tour", what: "about a minute, then look around" },
    { line: "sudo consort tour --once", what: "leave nothing behind" },
  ],
  takes: [0, 0],
  async run(given, context) {
    const seconds = given.number("seconds") ?? defaultSeconds;
    const built = await runLab("up", context);
    if (built !== 0) return built;
    const client = await connect(given, context);
    const cases = await contention(client, seconds, context);
    if (given.has("json")) context.terminal.out(`${JSON.stringify(cases, undefined, 2)}\n`);
    else context.terminal.out(report(cases));
    if (given.has("once")) {
      await takeDown(client, context.clock, "contention", context.signal);
      return runLab("down", context);
    }
    if (!given.has("json")) context.terminal.out(explore);
    return 0;
  },
};

function runLab(verb: "up" | "down", context: CommandContext): Promise<number> {
  return lab.run(readArguments("lab", [verb], lab.options), context);
}

async function contention(
  client: Client,
  seconds: number,
  context: CommandContext,
): Promise<ContentionCase[]> {
  const [unmanaged, managed] = await Promise.all(
    ["contention-unmanaged.yaml", "contention.yaml"].map((name) => readEnsemble(example(name), context)),
  );
  if (unmanaged === undefined || managed === undefined) return [];
  const progress = progressOn(context);
  const cloud: ContentionCloud = {
    up: async (ensemble, signal) => void (await bringUp(client, context.clock, ensemble, signal)),
    exec: (appliance, program, signal) =>
      captureIn(client, { ensemble: managed.name, appliance, command: program }, signal),
  };
  try {
    const show = (line: string): void => progress.show(`contention: ${line}`);
    return await runContention(
      cloud,
      { unmanaged, managed },
      { seconds, requestsPerSecond, progress: show },
      context.signal,
    );
  } catch (error) {
    progress.end();
    context.terminal.err("The lab and what runs in it stay up: consort ps, consort lab down\n");
    throw error;
  } finally {
    progress.end();
  }
}

function report(cases: readonly ContentionCase[]): string {
  return `
Time to fetch a 10 kB page over a host link of 1 Gbit/s that a bulk transfer shares
(web link promised 600 Mbit/s, bulk link 40 Mbit/s, spare bandwidth borrowed by whoever needs it):

${contentionTable(cases)}

${contentionPlot(cases)}
`;
}

const explore = `
The lab and the ensemble stay up. Look around:

  bin/consort ps                                     ensembles and their appliances
  bin/consort top                                    what they use, and what each link carries
  bin/consort explain contention                     why everything is where it is
  bin/consort exec contention/client -- ping -c 3 web
  bin/consort up examples/two-sites.yaml             three appliances over two sites, encrypted in between
  bin/consort lab down                               back to nothing
`;
