import { ConsortError } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { applianceIn } from "#cli/logs.ts";
import { captureIn, execIn } from "#cli/remote-exec.ts";

export const command: Command = {
  usage: ["exec NAME/APPLIANCE -- PROGRAM [ARGUMENT…]"],
  options: {
    ...apiOptions,
    stdin: { about: "Pass standard input on, read to its end first", short: "i" },
    env: { about: "Set a variable for it, as NAME=VALUE", value: "NAME=VALUE", short: "e" },
  },
  about: [
    "Runs one more program inside a running appliance: its network, its files, its limits, its unprivileged user.\nIts output comes as it is written; its exit code is the exit code.",
    "In a virtual machine its guest's agent runs it, as root, once that answers: some seconds after the machine has begun.\nIts output comes when it has ended, the first 16 MiB of it.",
  ],
  examples: [
    { line: "consort exec shop/web-1 -- ip -brief address", what: "look at its network" },
    { line: "consort exec shop/web-1 -- sh -c 'ping -c 3 db'", what: "names resolve inside the ensemble" },
    { line: "echo hello | consort exec -i shop/web-1 -- cat", what: "with input" },
  ],
  takes: [1, 1],
  rest: true,
  async run(given, context) {
    const [ensemble, appliance] = applianceIn(given.positionals[0] ?? "");
    if (given.rest.length === 0)
      throw new ConsortError(
        "bad_input",
        `Cannot run anything in ${ensemble}/${appliance}: no program given, wanted consort exec ${ensemble}/${appliance} -- PROGRAM`,
      );
    const client = await connect(given, context);
    const { terminal, signal } = context;
    const program = {
      ensemble,
      appliance,
      command: given.rest,
      env: variables(given.text("env")),
      ...(given.has("stdin") ? { stdin: await terminal.readInput() } : {}),
    };
    if (given.has("json")) {
      const result = await captureIn(client, program, signal);
      terminal.out(`${JSON.stringify(result, undefined, 2)}\n`);
      return result.exitCode;
    }
    return execIn(
      client,
      program,
      (stream, chunk) => {
        if (stream === "stdout") terminal.out(chunk);
        else terminal.err(chunk);
      },
      signal,
    );
  },
};

function variables(given: string | undefined): Record<string, string> {
  if (given === undefined) return {};
  const at = given.indexOf("=");
  if (at > 0) return { [given.slice(0, at)]: given.slice(at + 1) };
  throw new ConsortError("bad_input", `Cannot set "${given}": wanted NAME=VALUE`);
}
