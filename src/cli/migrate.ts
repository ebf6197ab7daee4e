import { ConsortError } from "#base/errors.ts";
import { adapt, partsOf } from "#cli/adapt.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["migrate NAME/APPLIANCE [--to HOST]"],
  options: {
    ...apiOptions,
    to: { about: "The host it goes to; without it, the best of the others", value: "HOST" },
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Moves a virtual machine to another host while it runs. It keeps its memory, its disks, its addresses and its open\nconnections, and stands still for a few hundredths of a second. Of several replicas all move, unless one is named:\nshop/web-2. Done when it runs there; what it has written to its disks follows in the background.",
    "Room, links and rules at the other host are checked first: what does not fit there is refused with exit code 3, and\nnothing changes. If a host or the network fails meanwhile it goes on where it was, or, once all of it is sent, where\nit was to go; never on both. Ctrl-C calls the move off as long as that is possible.",
    "A task cannot be moved while it runs: consort host drain has it begun anew elsewhere.",
  ],
  examples: [
    { line: "consort migrate shop/db", what: "to the best of the other hosts" },
    { line: "consort migrate shop/db --to a2", what: "to that host" },
  ],
  takes: [1, 1],
  run(given, context) {
    const subject = given.positionals[0] ?? "";
    const { ensemble, appliances } = partsOf(subject);
    if (appliances.length === 0) {
      throw new ConsortError(
        "bad_input",
        `Cannot migrate ${subject}: that is an ensemble, an appliance such as ${subject}/web was wanted`,
      );
    }
    const to = given.text("to");
    const body = { appliances, ...(to === undefined ? {} : { to }) };
    return adapt({ verb: "migrate", ensemble, body, about: subject }, given, context);
  },
};
