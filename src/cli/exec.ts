import { ConsortError } from "#base/errors.ts";
import type { ErrorCode } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { applianceIn } from "#cli/logs.ts";

type ExecLine =
  | { readonly stream: "stdout" | "stderr"; readonly dataBase64: string }
  | { readonly exitCode: number }
  | { readonly error: { readonly code: ErrorCode; readonly message: string } };

export const command: Command = {
  usage: ["exec NAME/APPLIANCE -- PROGRAM [ARGUMENT…]"],
  options: {
    ...apiOptions,
    stdin: { about: "Pass standard input on, read to its end first", short: "i" },
    env: { about: "Set a variable for it, as NAME=VALUE", value: "NAME=VALUE", short: "e" },
  },
  about: [
    "Runs one more program inside a running appliance: its network, its files, its limits, its unprivileged user.\nIts output comes as it is written; its exit code is the exit code.",
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
    const input = given.has("stdin") ? Buffer.from(await context.terminal.readInput()) : undefined;
    const body = {
      command: given.rest,
      env: variables(given.text("env")),
      ...(input === undefined ? {} : { stdinBase64: input.toString("base64") }),
    };
    const one = route`/v1/ensembles/${ensemble}/appliances/${appliance}/exec`;
    const collected = { stdout: "", stderr: "" };
    for await (const line of client.lines("POST", one, context.signal, { body })) {
      if (line === "") continue;
      const told = JSON.parse(line) as ExecLine;
      if ("error" in told) throw new ConsortError(told.error.code, told.error.message);
      if ("exitCode" in told) {
        const { exitCode } = told;
        if (given.has("json"))
          context.terminal.out(`${JSON.stringify({ exitCode, ...collected }, undefined, 2)}\n`);
        return exitCode;
      }
      const data = Buffer.from(told.dataBase64, "base64");
      if (given.has("json")) collected[told.stream] += data.toString();
      else if (told.stream === "stdout") context.terminal.out(data);
      else context.terminal.err(data.toString());
    }
    throw new ConsortError(
      "unavailable",
      `Cannot tell how ${given.rest[0]} ended: the manager's answer broke off, wanted an exit code`,
    );
  },
};

function variables(given: string | undefined): Record<string, string> {
  if (given === undefined) return {};
  const at = given.indexOf("=");
  if (at > 0) return { [given.slice(0, at)]: given.slice(at + 1) };
  throw new ConsortError("bad_input", `Cannot set "${given}": wanted NAME=VALUE`);
}
