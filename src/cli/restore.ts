import { ConsortError } from "#base/errors.ts";
import { adapt, partsOf } from "#cli/adapt.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["restore NAME/APPLIANCE [--from CHECKPOINT]"],
  options: {
    ...apiOptions,
    from: { about: "The checkpoint; without it, the newest complete one", value: "CHECKPOINT" },
    detach: { about: "Return as soon as the manager has accepted it", short: "d" },
  },
  about: [
    "Sets a virtual machine back to a checkpoint: what it has done since is lost. It ends where it runs, and goes on from\nthere as it was then, with its memory, its disks and its programs, its name and its addresses.",
    "A machine whose host is lost is restored without being asked for, on another host, if its file says\n`restart: elsewhere`, which it does unless told, and there is a complete checkpoint; see consort checkpoint ls.",
  ],
  examples: [
    { line: "consort restore shop/db", what: "to the newest checkpoint" },
    { line: "consort restore shop/db --from r-1f2e3d4c", what: "to an older one" },
  ],
  takes: [1, 1],
  run(given, context) {
    const subject = given.positionals[0] ?? "";
    const { ensemble, appliances } = partsOf(subject);
    const [appliance] = appliances;
    if (appliance === undefined) {
      throw new ConsortError(
        "bad_input",
        `Cannot restore ${subject}: that is an ensemble, an appliance such as ${subject}/db was wanted`,
      );
    }
    const checkpoint = given.text("from");
    const body = { appliance, ...(checkpoint === undefined ? {} : { checkpoint }) };
    return adapt({ verb: "restore", ensemble, body, about: subject }, given, context);
  },
};
