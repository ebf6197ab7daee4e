import { ConsortError } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { adapt } from "#cli/adapt.ts";
import type { Command } from "#cli/command.ts";
import { applianceIn } from "#cli/logs.ts";
import type { ResizeDocument } from "#formats/resize-document.ts";

export const command: Command = {
  usage: [
    "resize NAME/APPLIANCE [--cpu CPU] [--memory SIZE] [--out RATE] [--in RATE]",
    "resize NAME/APPLIANCE [--vcpus COUNT] [--disk-read RATE] [--disk-write RATE] [--disk-reads COUNT] [--disk-writes COUNT]",
    "resize NAME/APPLIANCE --from NAME/OTHER [--cpu TIME] [--out RATE]",
    "resize NAME/APPLIANCE/TEAM [--from NAME/APPLIANCE/OTHER] --cpu CPU",
  ],
  options: {
    ...apiOptions,
    cpu: { about: "32ms/40ms, or a share such as 150%; with --from the time to move, 8ms", value: "CPU" },
    memory: { about: "Its limit, of a virtual machine its guest's memory: 512MiB", value: "SIZE" },
    out: { about: "Bandwidth guaranteed for all it sends; with --from what to move of it", value: "RATE" },
    in: { about: "Bandwidth guaranteed for all it receives", value: "RATE" },
    vcpus: { about: "Processors of a virtual machine, up to its vcpusMax", value: "COUNT" },
    "disk-read": { about: "What all disks of a virtual machine read at most: 50MiB/s", value: "RATE" },
    "disk-write": { about: "What they write at most: 20MiB/s", value: "RATE" },
    "disk-reads": { about: "Read requests per second at most", value: "COUNT" },
    "disk-writes": { about: "Write requests per second at most", value: "COUNT" },
    from: {
      about: "Take from this appliance what the other gets: both at once or neither",
      value: "NAME/OTHER",
    },
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Gives a running appliance another size, without a restart and on the host it is on. Of several replicas all get it,\nunless one is named: shop/web-2. Done when its host keeps the new size.",
    "With --from it moves CPU time of every period, or bandwidth, from one appliance to another of the same ensemble, on\nwhichever hosts they are, in one change.",
    "What its host or its uplink cannot keep is refused with exit code 3, with what would fit, and nothing changes. To move\nit to another host, bring up a file with the new size. What is adjusted stays until a file declares something else.",
    "A team of an appliance gets another part of its reservation, or some of the part of a team beside it.",
    "A virtual machine gets memory up to its memoryMax, and processors up to its vcpusMax; its guest has to do its part.",
    "Ctrl-C brings back the size it had.",
  ],
  examples: [
    { line: "consort resize shop/streaming --cpu 32ms/40ms", what: "32 ms of CPU time in every 40 ms" },
    {
      line: "consort resize shop/streaming --cpu 8ms --from shop/transcoding",
      what: "move 8 ms of every period",
    },
    { line: "consort resize shop/streaming --out 1Mbit/s --from shop/transcoding", what: "move bandwidth" },
    {
      line: "consort resize shop/streaming/encoders --cpu 2ms --from shop/streaming/muxers",
      what: "between its teams",
    },
    { line: "consort resize shop/web --memory 256MiB", what: "all replicas" },
    { line: "consort resize shop/db --vcpus 2 --disk-write 20MiB/s", what: "a virtual machine" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const { ensemble, appliance, team } = partIn(given.positionals[0] ?? "");
    const name = team === undefined ? appliance : `${appliance}/${team}`;
    const body = given.has("from")
      ? moveOf(given, ensemble, name)
      : team === undefined
        ? sizeOf(given, ensemble, appliance)
        : teamSizeOf(given, { ensemble, appliance, team });
    return adapt({ verb: "resize", ensemble, body, about: `${ensemble}/${name}` }, given, context);
  },
};

type Part = { readonly ensemble: string; readonly appliance: string; readonly team?: string };

/** "shop/web", or a team of it: "shop/web/encoders". */
function partIn(text: string): Part {
  const [, whole = text, team] = /^([^/]*\/[^/]*)\/(.+)$/.exec(text) ?? [];
  const [ensemble, appliance] = applianceIn(whole);
  return { ensemble, appliance, ...(team === undefined ? {} : { team }) };
}

function teamSizeOf(given: Arguments, { ensemble, appliance, team }: Required<Part>): ResizeDocument {
  const cpu = given.text("cpu");
  if (cpu === undefined || unmovable.some((option) => given.has(option)) || given.has("out"))
    throw new ConsortError(
      "bad_input",
      `Cannot resize ${ensemble}/${appliance}/${team}: a team has a part of its appliance's CPU time only, wanted --cpu 8ms/40ms`,
    );
  return { sizes: { [appliance]: { teams: { [team]: cpu } } } };
}

function sizeOf(given: Arguments, ensemble: string, appliance: string): ResizeDocument {
  const texts = (options: Readonly<Record<string, string>>): [string, string][] =>
    Object.entries(options).flatMap(([option, field]): [string, string][] => {
      const text = given.text(option);
      return text === undefined ? [] : [[field, text]];
    });
  const counts = (options: Readonly<Record<string, string>>): [string, number][] =>
    texts(options).map(([field, text]) => [field, countOf(text, `${ensemble}/${appliance}`)]);
  const disk = [
    ...texts({ "disk-read": "read", "disk-write": "write" }),
    ...counts({ "disk-reads": "reads", "disk-writes": "writes" }),
  ];
  const size = Object.fromEntries([
    ...texts({ cpu: "cpu", memory: "memory", out: "out", in: "in" }),
    ...counts({ vcpus: "vcpus" }),
    ...(disk.length === 0 ? [] : [["disk", Object.fromEntries(disk)] as const]),
  ]);
  if (Object.keys(size).length === 0) {
    throw new ConsortError(
      "bad_input",
      `Cannot resize ${ensemble}/${appliance}: no size given, wanted --cpu, --memory, --out, --in, --vcpus or one of its disks`,
    );
  }
  return { sizes: { [appliance]: size } };
}

function countOf(text: string, about: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new ConsortError(
    "bad_input",
    `Cannot resize ${about}: it is given "${text}", wanted a whole number such as 2`,
  );
}

const unmovable = ["memory", "in", "vcpus", "disk-read", "disk-write", "disk-reads", "disk-writes"];

function moveOf(given: Arguments, ensemble: string, to: string): ResizeDocument {
  const { ensemble: other, appliance, team } = partIn(given.text("from") ?? "");
  const from = team === undefined ? appliance : `${appliance}/${team}`;
  if (other !== ensemble) {
    throw new ConsortError(
      "bad_input",
      `Cannot move from ${other}/${from} to ${ensemble}/${to}: they are of two ensembles, wanted one`,
    );
  }
  const amounts = [given.text("cpu"), given.text("out")].filter((text) => text !== undefined);
  if (amounts.length === 0 || unmovable.some((option) => given.has(option))) {
    const told = amounts.length === 0 ? "nothing to move is given" : "only these can be moved";
    throw new ConsortError("bad_input", `Cannot move anything: ${told}, wanted --cpu 8ms or --out 1Mbit/s`);
  }
  return { moves: amounts.map((amount) => `move ${amount} from ${from} to ${to}`) };
}
