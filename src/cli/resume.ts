import { apiOptions } from "#cli/arguments.ts";
import { adapt, partsOf } from "#cli/adapt.ts";
import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["resume NAME/APPLIANCE [--to HOST]", "resume NAME [--to HOST]"],
  options: {
    ...apiOptions,
    to: { about: "The host that a virtual machine on disk goes on at", value: "HOST" },
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Lets an appliance that consort suspend or a strategy holds go on where it was, also one that is declared suspended.\nWith only the name of an ensemble, all of it. Ctrl-C holds it again.",
    "A virtual machine that is on disk goes on from there with its memory and its open files: where it was if it fits\nthere, else on another host, or on the one that --to names. What fits nowhere is refused with exit code 3, and stays\non disk. With only the name of an ensemble of which something is on disk, that alone. Ctrl-C only stops waiting for it.",
  ],
  examples: [
    { line: "consort resume shop/web-2", what: "one appliance" },
    { line: "consort resume shop", what: "the whole ensemble" },
    { line: "consort resume shop/db --to a2", what: "a virtual machine that is on disk, on that host" },
  ],
  takes: [1, 1],
  run(given, context) {
    const subject = given.positionals[0] ?? "";
    const { ensemble, appliances } = partsOf(subject);
    const to = given.text("to");
    const body = { appliances, ...(to === undefined ? {} : { to }) };
    return adapt({ verb: "resume", ensemble, body, about: subject }, given, context);
  },
};
