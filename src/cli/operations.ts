import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { subjectOf } from "#cli/names.ts";
import { age } from "#cli/quantities.ts";
import { formatTable } from "#cli/table.ts";
import { showOrWatch, watchOptions } from "#cli/watch.ts";
import type { Operation } from "#protocol/http/operation.ts";

export const command: Command = {
  usage: ["operations"],
  options: { ...apiOptions, ...watchOptions },
  about: [
    "Lists the changes that were asked for, and the manager's own: those that run and the latest that ended, with how\nthey ended. recover: appliances of an ensemble get other hosts, as theirs is lost. drain: a host's appliances do, as\nan operator wants it free.",
  ],
  examples: [{ line: "consort operations", what: "after consort up --detach" }],
  takes: [0, 0],
  async run(given, context) {
    const client = await connect(given, context);
    return showOrWatch(
      given,
      context,
      (signal) => client.request<Operation[]>("GET", "/v1/operations", signal),
      (operations, width) => formatOperations(operations, context.clock.now(), width),
    );
  },
};

export function formatOperations(operations: readonly Operation[], nowMs: number, width?: number): string {
  return formatTable<Operation>(
    [
      { heading: "OPERATION", cell: (row) => row.id },
      { heading: "WHAT", cell: (row) => `${row.kind} ${subjectOf(row)}` },
      { heading: "STATE", cell: (row) => row.state },
      { heading: "PHASE", cell: (row) => (row.state === "running" ? row.phase : "-"), optional: true },
      { heading: "READY", right: true, cell: (row) => `${row.progress.done}/${row.progress.total}` },
      { heading: "AGE", right: true, cell: (row) => age(row.createdAtMs, nowMs) },
      {
        heading: "TOOK",
        right: true,
        cell: (row) =>
          row.endedAtMs === undefined ? "-" : `${((row.endedAtMs - row.createdAtMs) / 1000).toFixed(2)}s`,
      },
      { heading: "MESSAGE", cell: (row) => row.error?.message ?? row.message },
    ],
    operations,
    width,
  );
}
