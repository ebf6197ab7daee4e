import { apiOptions } from "#cli/arguments.ts";
import { adapt, partsOf } from "#cli/adapt.ts";
import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["suspend NAME/APPLIANCE", "suspend NAME"],
  options: {
    ...apiOptions,
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Holds an appliance where it is: none of its programs runs until consort resume. It keeps its memory, its addresses\nand all that is reserved for it. Of several replicas all are held, unless one is named: shop/web-2; with only the\nname of an ensemble, all of it.",
    "It stays held when its host restarts or is lost, and when its file is brought up again. Ctrl-C lets it go on.",
  ],
  examples: [
    { line: "consort suspend shop/web-2", what: "one appliance" },
    { line: "consort suspend shop", what: "the whole ensemble" },
  ],
  takes: [1, 1],
  run(given, context) {
    const subject = given.positionals[0] ?? "";
    const { ensemble, appliances } = partsOf(subject);
    return adapt({ verb: "suspend", ensemble, body: { appliances }, about: subject }, given, context);
  },
};
