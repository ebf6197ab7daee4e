import { ConsortError, errorTable } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import type { Arguments } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { conclude, follow } from "#cli/follow.ts";
import { commandHelp } from "#cli/help-text.ts";
import { changeHost } from "#cli/known-host.ts";
import { count } from "#cli/quantities.ts";
import { findCommand } from "#cli/run.ts";
import { didYouMean } from "#formats/suggestion.ts";
import type { Operation } from "#protocol/http/operation.ts";
import type { HostStatus } from "#protocol/http/status.ts";

const verbs = { drain, cordon, uncordon, forget } as const;

export const command: Command = {
  usage: ["host drain HOST", "host cordon HOST", "host uncordon HOST", "host forget HOST [--gone]"],
  options: {
    ...apiOptions,
    detach: { about: "drain: return as soon as the manager has accepted it", short: "d" },
    "no-wait": { about: "drain: the same as --detach" },
    gone: { about: "forget: its machine is off for good, so that nothing runs there any more" },
  },
  about: [
    "cordon: nothing new is placed on the host; what it runs stays. drain: cordons it and moves all it runs to other\nhosts: virtual machines while they run, tasks stopped here before they are started there. uncordon: it takes appliances\nagain.",
    "A drain that cannot go on, as all that is left has no other place, fails with exit code 3 and the reason: what could\nmove has moved, and the host stays cordoned. Uncordon it, or make room and drain it again. What has ended for good\nstays recorded there and hinders nothing.",
    "forget: gives up a lost host that will never return: what it ran is taken for gone, and runs elsewhere, also\nwhat was to stay in place. That obeys no lease, and may run there still though nothing is heard of it: so it is refused\nwhile there is any, unless you say with --gone that the machine is off for good. Should it come back, it is cleaned\nbefore it takes part again.",
    "Ctrl-C cancels a drain: what has moved stays where it is, and the host takes appliances again. After --detach, or\nwhen this program dies, the manager goes on.",
  ],
  examples: [
    { line: "consort host drain a1", what: "before its machine is switched off" },
    { line: "consort host uncordon a1", what: "afterwards" },
    { line: "consort host cordon a1", what: "let what runs there come to its end" },
    { line: "consort host forget a1 --gone", what: "its machine has burnt down" },
  ],
  takes: [0, Number.POSITIVE_INFINITY],
  async run(given, context) {
    const [verb, host = "", ...others] = given.positionals;
    if (verb === undefined) {
      context.terminal.out(commandHelp(findCommand("host"), command));
      return errorTable.bad_input.exit;
    }
    if (!isVerb(verb)) {
      const suggestion = didYouMean(verb, Object.keys(verbs)) ?? "see consort host --help";
      throw new ConsortError("bad_input", `Cannot run consort host ${verb}: no such verb; ${suggestion}`);
    }
    if (host === "" || others.length > 0) {
      const told =
        host === "" ? "no host given" : `${[host, ...others].join(", ")} are ${others.length + 1} hosts`;
      throw new ConsortError(
        "bad_input",
        `Cannot run consort host ${verb}: ${told}, wanted one: consort host ${verb} HOST; see consort hosts`,
      );
    }
    return verbs[verb](host, given, context);
  },
};

const isVerb = (verb: string): verb is keyof typeof verbs => Object.hasOwn(verbs, verb);

async function drain(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  // Not cut off by Ctrl-C: afterwards we could not say whether it was accepted.
  const accepted = await changeHost<Operation>(client, "drain", id, context.afterwards);
  const json = given.has("json");
  if (given.has("detach") || given.has("no-wait")) {
    if (json) printJson(accepted, context);
    else context.terminal.out(`The drain of ${id} is accepted: operation ${accepted.id}\n`);
    return 0;
  }
  return conclude(await follow(client, accepted, context, { quiet: json }), json, context);
}

async function cordon(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  const host = await changeHost<HostStatus>(client, "cordon", id, context.signal);
  if (given.has("json")) printJson(host, context);
  else {
    const [stay, them] = host.appliances === 1 ? ["stays", "it"] : ["stay", "them"];
    const here = `; ${count(host.appliances, "appliance")} ${stay}: consort host drain ${id} moves ${them}`;
    context.terminal.out(`${id} takes nothing new${host.appliances === 0 ? "" : here}\n`);
  }
  return 0;
}

async function uncordon(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  const host = await changeHost<HostStatus>(client, "uncordon", id, context.signal);
  if (given.has("json")) printJson(host, context);
  else
    context.terminal.out(
      `${id} takes appliances again${host.fenced ? ", once it is clean: it is fenced" : ""}\n`,
    );
  return 0;
}

async function forget(id: string, given: Arguments, context: CommandContext): Promise<number> {
  const client = await connect(given, context);
  await changeHost<void>(client, "forget", id, context.signal, given.has("gone") ? "?gone=true" : "");
  if (given.has("json")) printJson({ host: id, forgotten: true }, context);
  else context.terminal.out(`${id} is forgotten; consort operations shows what runs elsewhere for it\n`);
  return 0;
}

const printJson = (value: unknown, context: CommandContext): void =>
  context.terminal.out(`${JSON.stringify(value, undefined, 2)}\n`);
