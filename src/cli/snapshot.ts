import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { count } from "#cli/quantities.ts";
import { writeTextFile } from "#cli/writable-file.ts";
import type { SnapshotDocument } from "#formats/snapshot.ts";

/** What appliances were given in `files` and `env` may be secret. */
const ownerOnly = 0o600;

export const command: Command = {
  usage: ["snapshot [-o FILE]"],
  options: {
    ...apiOptions,
    output: { about: "Write it to this file, readable for its owner only", short: "o", value: "FILE" },
  },
  about: [
    "Prints all that is desired and known of the running cloud as one JSON document: topology, hosts, ensembles with\ntheir placements, tunnels without their keys. A simulation can start from it. What appliances were given in files\nand env is in it.",
  ],
  examples: [
    { line: "consort snapshot -o cloud.json", what: "keep it" },
    { line: "consort snapshot | jq '.ensembles[].placements'", what: "where everything was placed" },
  ],
  takes: [0, 0],
  async run(given, context) {
    const { terminal, signal } = context;
    const client = await connect(given, context);
    const text = await client.text("/v1/snapshot", signal);
    const file = given.text("output");
    if (file === undefined) {
      terminal.out(`${terminal.outIsTerminal ? JSON.stringify(JSON.parse(text), undefined, 2) : text}\n`);
      return 0;
    }
    const { hosts, ensembles } = JSON.parse(text) as SnapshotDocument;
    await writeTextFile(file, `${text}\n`, { mode: ownerOnly, signal });
    const held = { file, hosts: hosts.length, ensembles: ensembles.length };
    terminal.out(
      given.has("json")
        ? `${JSON.stringify(held, undefined, 2)}\n`
        : `${file} holds ${count(held.hosts, "host")} and ${count(held.ensembles, "ensemble")}\n`,
    );
    return 0;
  },
};
