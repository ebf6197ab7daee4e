import { apiOptions } from "#cli/arguments.ts";
import { adapt, partsOf } from "#cli/adapt.ts";
import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["resume NAME/APPLIANCE", "resume NAME"],
  options: {
    ...apiOptions,
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Lets an appliance that consort suspend or a strategy holds go on where it was, also one that is declared suspended.\nWith only the name of an ensemble, all of it. Ctrl-C holds it again.",
  ],
  examples: [
    { line: "consort resume shop/web-2", what: "one appliance" },
    { line: "consort resume shop", what: "the whole ensemble" },
  ],
  takes: [1, 1],
  run(given, context) {
    const subject = given.positionals[0] ?? "";
    const { ensemble, appliances } = partsOf(subject);
    return adapt({ verb: "resume", ensemble, body: { appliances }, about: subject }, given, context);
  },
};
