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
    "resize NAME/APPLIANCE --from NAME/OTHER [--cpu TIME] [--out RATE]",
  ],
  options: {
    ...apiOptions,
    cpu: { about: "32ms/40ms, or a share such as 150%; with --from the time to move, 8ms", value: "CPU" },
    memory: { about: "Its limit, of a virtual machine its guest's memory: 512MiB", value: "SIZE" },
    out: { about: "Bandwidth guaranteed for all it sends; with --from what to move of it", value: "RATE" },
    in: { about: "Bandwidth guaranteed for all it receives", value: "RATE" },
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
    "A virtual machine gets memory up to its memoryMax. Its processors and the limits of its disks are changed in its file:\nvm: {vcpus, disk}, brought up again with consort up, without a restart too.",
    "Ctrl-C brings back the size it had.",
  ],
  examples: [
    { line: "consort resize shop/streaming --cpu 32ms/40ms", what: "32 ms of CPU time in every 40 ms" },
    {
      line: "consort resize shop/streaming --cpu 8ms --from shop/transcoding",
      what: "move 8 ms of every period",
    },
    { line: "consort resize shop/streaming --out 1Mbit/s --from shop/transcoding", what: "move bandwidth" },
    { line: "consort resize shop/web --memory 256MiB", what: "all replicas" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const [ensemble, appliance] = applianceIn(given.positionals[0] ?? "");
    const body = given.has("from") ? moveOf(given, ensemble, appliance) : sizeOf(given, ensemble, appliance);
    return adapt({ verb: "resize", ensemble, body, about: `${ensemble}/${appliance}` }, given, context);
  },
};

function sizeOf(given: Arguments, ensemble: string, appliance: string): ResizeDocument {
  const size = Object.fromEntries(
    ["cpu", "memory", "out", "in"].flatMap((option) => {
      const text = given.text(option);
      return text === undefined ? [] : [[option, text]];
    }),
  );
  if (Object.keys(size).length === 0) {
    throw new ConsortError(
      "bad_input",
      `Cannot resize ${ensemble}/${appliance}: no size given, wanted --cpu, --memory, --out or --in`,
    );
  }
  return { sizes: { [appliance]: size } };
}

function moveOf(given: Arguments, ensemble: string, to: string): ResizeDocument {
  const [other, from] = applianceIn(given.text("from") ?? "");
  if (other !== ensemble) {
    throw new ConsortError(
      "bad_input",
      `Cannot move from ${other}/${from} to ${ensemble}/${to}: they are of two ensembles, wanted one`,
    );
  }
  const amounts = [given.text("cpu"), given.text("out")].filter((text) => text !== undefined);
  if (amounts.length === 0 || given.has("memory") || given.has("in")) {
    const told = amounts.length === 0 ? "nothing to move is given" : "only these can be moved";
    throw new ConsortError("bad_input", `Cannot move anything: ${told}, wanted --cpu 8ms or --out 1Mbit/s`);
  }
  return { moves: amounts.map((amount) => `move ${amount} from ${from} to ${to}`) };
}
