import { readFile } from "node:fs/promises";
import { messageOf } from "#base/errors.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["version"],
  options: apiOptions,
  about: ["Prints the version of this program, of its Node, and of the manager when one runs."],
  examples: [{ line: "consort version --json", what: "for a bug report" }],
  takes: [0, 0],
  async run(given, context) {
    const manifest = JSON.parse(
      await readFile(new URL("../../package.json", import.meta.url), "utf8"),
    ) as Readonly<Record<string, unknown>>;
    const consort = String(manifest["version"]);
    const manager = await managerVersion();
    if (given.has("json"))
      context.terminal.out(`${JSON.stringify({ consort, node: process.version, manager }, undefined, 2)}\n`);
    else
      context.terminal.out(
        `consort ${consort}, node ${process.version}, manager: ${manager.running ? manager.text : "none reached"}\n`,
      );
    return 0;

    async function managerVersion(): Promise<{ running: boolean; text: string }> {
      try {
        const client = await connect(given, context);
        const answer = await client.request<{ version: string }>("GET", "/v1/version", context.signal);
        return { running: true, text: answer.version };
      } catch (error) {
        return { running: false, text: `none (${messageOf(error)})` };
      }
    }
  },
};
