import { apiOptions } from "#cli/arguments.ts";
import { adapt, partsOf } from "#cli/adapt.ts";
import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["suspend NAME/APPLIANCE [--to-disk]", "suspend NAME [--to-disk]"],
  options: {
    ...apiOptions,
    "to-disk": { about: "Virtual machines only: save it, and free what it has of its host" },
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Holds an appliance where it is: none of its programs runs until consort resume. It keeps its memory, its addresses\nand all that is reserved for it. Of several replicas all are held, unless one is named: shop/web-2; with only the\nname of an ensemble, all of it.",
    "It stays held when its host restarts or is lost, and when its file is brought up again. Ctrl-C lets it go on.",
    "With --to-disk a virtual machine is saved by a checkpoint, copied as its policy says, and ended at that very moment:\nits host's memory, processors and bandwidth are free for others; it keeps its addresses and its declaration. It goes on\nfrom there by consort resume, on another host too. Meanwhile its ensemble can be taken down, not brought up anew.",
  ],
  examples: [
    { line: "consort suspend shop/web-2", what: "one appliance" },
    { line: "consort suspend shop", what: "the whole ensemble" },
    { line: "consort suspend shop/db --to-disk", what: "a virtual machine, to go on later or elsewhere" },
  ],
  takes: [1, 1],
  run(given, context) {
    const subject = given.positionals[0] ?? "";
    const { ensemble, appliances } = partsOf(subject);
    const body = { appliances, ...(given.has("to-disk") ? { toDisk: true } : {}) };
    return adapt({ verb: "suspend", ensemble, body, about: subject }, given, context);
  },
};
