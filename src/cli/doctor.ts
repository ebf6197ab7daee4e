import type { Command } from "#cli/command.ts";

export const command: Command = {
  usage: ["doctor"],
  options: {},
  about: [
    "Tries what Consort needs of this machine, really, not by name: control groups, network namespaces, the nftables\nbridge family, token buckets, tunnels, a guest under KVM, tools and their versions; and names a remedy for each that is\nmissing. Leaves nothing behind. Exit code 1 when something that is needed is missing. Wants root to see everything.",
  ],
  examples: [
    { line: "sudo consort doctor", what: "look" },
    { line: "sudo consort doctor --json", what: "for a bug report" },
  ],
  takes: [0, 0],
  async run(given, context) {
    const { report, text, ok } = await context.tools.doctor(context.signal);
    if (given.has("json")) context.terminal.out(`${JSON.stringify(report, undefined, 2)}\n`);
    else context.terminal.out(text.endsWith("\n") ? text : `${text}\n`);
    return ok ? 0 : 1;
  },
};
