import { ConsortError, errorTable } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { commandHelp } from "#cli/help-text.ts";
import { findCommand } from "#cli/run.ts";
import { isText, mapOf } from "#base/shape.ts";
import { printable } from "#cli/table.ts";
import { parse } from "yaml";

const verbs = ["set", "ls", "rm"];
const isFields = mapOf(isText);

export const command: Command = {
  usage: ["secret set NAME < FILE", "secret ls", "secret rm NAME"],
  options: { ...apiOptions, quiet: { about: "ls: nothing but names", short: "q" } },
  about: [
    "Keeps what other sides ask of those who fetch and bring files for jobs and images: a map in YAML or JSON, read from\nstandard input, so that it stays out of your shell's history. The manager keeps it in a file that only its owner may\nread, hands it to hosts that need it for a job of theirs, and never shows it again.",
    "Fields: user and password (sftp, ftp, http, webhdfs); privateKey and hostKey, as SHA256:… of ssh-keygen -lf (sftp);\ntoken (http, webhdfs); accessKey, secretKey, sessionToken, region, endpoint (s3).",
  ],
  examples: [
    { line: "consort secret set store < store.yaml", what: "user: me, password: …" },
    { line: "consort secret ls", what: "names only" },
  ],
  takes: [0, 2],
  async run(given, context) {
    const [verb, name] = given.positionals;
    const { terminal } = context;
    if (verb === undefined) {
      terminal.out(commandHelp(findCommand("secret"), command));
      return errorTable.bad_input.exit;
    }
    if (!verbs.includes(verb) || (name === undefined) !== (verb === "ls")) {
      throw new ConsortError(
        "bad_input",
        `Cannot run consort secret ${given.positionals.join(" ")}: wanted set NAME, ls or rm NAME`,
      );
    }
    const json = given.has("json");
    const client = await connect(given, context);
    if (verb === "ls") {
      const names = await client.request<string[]>("GET", "/v1/secrets", context.signal);
      const lines = names.map((one) => `${printable(one)}\n`).join("");
      terminal.out(
        json ? `${JSON.stringify(names)}\n` : lines || (given.has("quiet") ? "" : "No secrets are kept.\n"),
      );
      return 0;
    }
    const path = route`/v1/secrets/${name ?? ""}`;
    if (verb === "rm") await client.request<void>("DELETE", path, context.signal);
    else await client.request<void>("PUT", path, context.signal, await fieldsFrom(context));
    if (json) terminal.out(`${JSON.stringify({ name, kept: verb === "set" })}\n`);
    return 0;
  },
};

/** Nothing of it may be in an error. */
async function fieldsFrom({ terminal }: CommandContext): Promise<unknown> {
  const wanted = "wanted a map such as {user: me, password: ...} on standard input";
  let fields: unknown;
  try {
    fields = parse(new TextDecoder().decode(await terminal.readInput()), { schema: "failsafe" });
  } catch {
    throw new ConsortError("bad_input", `Cannot read the secret: it is no YAML, ${wanted}`);
  }
  if (isFields(fields)) return fields;
  throw new ConsortError("bad_input", `Cannot read the secret: ${wanted}`);
}
