import { codeOf, errorTable, messageOf } from "#base/errors.ts";
import { untilEnded } from "#cli/change.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { CommandContext } from "#cli/command.ts";
import { subjectOf } from "#cli/names.ts";
import { operationLine, progressOn } from "#cli/progress.ts";
import { printable } from "#cli/table.ts";
import type { Operation } from "#protocol/http/operation.ts";

/**
 * Shows an operation until it has ended. Ctrl-C cancels it, which brings back what was desired before; only a `down`
 * goes on without us. Resolves with the operation as it ended, or as it was left.
 */
export async function follow(
  client: Client,
  accepted: Operation,
  context: CommandContext,
  options: { quiet: boolean },
): Promise<Operation> {
  const progress = progressOn(context);
  let operation = accepted;
  const look = (now: Operation): void => {
    operation = now;
    if (!options.quiet && now.state === "running") progress.show(operationLine(now));
  };
  try {
    return await untilEnded(client, context.clock, accepted, look, context.signal);
  } catch (error) {
    if (!context.signal.aborted) throw error;
    progress.end();
    return await leave(client, operation, context);
  } finally {
    progress.end();
  }
}

async function leave(client: Client, operation: Operation, context: CommandContext): Promise<Operation> {
  const { err } = context.terminal;
  const { kind } = operation;
  const name = subjectOf(operation);
  if (kind === "down") {
    err(`Interrupted: the removal of ${name} was accepted and goes on; see consort ps, consort operations\n`);
    return operation;
  }
  err(`Interrupted: cancelling ${kind} ${name}; Ctrl-C again to leave it to the manager\n`);
  const one = route`/v1/operations/${operation.id}`;
  try {
    const cancelled = await client.request<Operation>("DELETE", one, context.afterwards);
    err(
      kind === "drain"
        ? `Cancelled: ${name} takes appliances again, what has moved stays where it is; see consort hosts\n`
        : `Cancelled: what was desired of ${name} before holds again; see consort ps ${name}\n`,
    );
    return cancelled;
  } catch (error) {
    if (codeOf(error) === "conflict") return await client.request<Operation>("GET", one, context.afterwards);
    err(
      `Cannot cancel: ${printable(messageOf(error))}; the manager goes on with ${kind} ${name}: consort operations\n`,
    );
    return operation;
  }
}

/** Prints how an operation ended, and gives the exit code. */
export function conclude(operation: Operation, json: boolean, context: CommandContext): number {
  const { out, err } = context.terminal;
  if (json) out(`${JSON.stringify(operation, undefined, 2)}\n`);
  const { state, error, message } = operation;
  switch (state) {
    case "done":
      if (!json) out(doneText(operation));
      return 0;
    case "failed":
      if (!json) err(`consort: ${whyFailed(operation)}\n${afterFailure(operation)}\n`);
      return errorTable[codeOf(error)].exit;
    case "cancelled":
      // Whoever pressed Ctrl-C was told already.
      if (!json && !context.signal.aborted)
        err(`consort: ${operation.kind} ${subjectOf(operation)} was cancelled: ${printable(message)}\n`);
      return errorTable.cancelled.exit;
    case "running":
      return errorTable.cancelled.exit;
    default:
      return state satisfies never;
  }
}

function doneText(operation: Operation): string {
  const { endedAtMs, createdAtMs } = operation;
  const took = endedAtMs === undefined ? "" : ` in ${((endedAtMs - createdAtMs) / 1000).toFixed(2)} s`;
  const name = subjectOf(operation);
  const { done, total } = operation.progress;
  switch (operation.kind) {
    case "down":
      return `${name} is removed${took}\n`;
    case "drain": {
      const moved = total === 0 ? "nothing ran on it" : `${done} of ${total} moved`;
      return `${name} is drained: ${moved}${took}\nIt takes nothing new until: consort host uncordon ${name}\n`;
    }
    case "up":
    case "recover":
      return `${name} runs: ${done} of ${total} ready${took}\n`;
    case "resize":
      return `${name} is resized: ${total === 0 ? "nothing changes" : `${done} of ${total} in force`}${took}\n`;
    case "migrate":
      return `${name}: ${done} of ${total} run where they were to go${took}\n`;
    case "suspend":
      return `${name}: ${total === 0 ? "all were held already" : `${done} of ${total} held`}${took}\n`;
    case "restore":
      return `${name} is restored: ${done} of ${total} ready${took}\n`;
    case "resume":
      return `${name}: ${total === 0 ? "none was held" : `${done} of ${total} go on`}${took}\n`;
    default:
      return operation.kind satisfies never;
  }
}

function afterFailure(operation: Operation): string {
  const name = subjectOf(operation);
  return operation.kind === "drain"
    ? `What has moved stays where it is: see consort hosts, consort ps; consort host uncordon ${name} lets it take appliances again`
    : operation.kind === "migrate"
      ? `What has not moved runs where it was: see consort ps ${name}`
      : `${name} is left as it is: see consort ps ${name}, consort logs; consort down ${name} removes it`;
}

const cannot: Readonly<Record<Operation["kind"], string>> = {
  up: "bring up",
  down: "remove",
  recover: "recover",
  drain: "drain",
  resize: "resize",
  suspend: "suspend",
  migrate: "migrate",
  resume: "resume",
  restore: "restore",
};

function whyFailed(operation: Operation): string {
  const why = printable(operation.error?.message ?? operation.message);
  return why.startsWith("Cannot ") ? why : `Cannot ${cannot[operation.kind]} ${subjectOf(operation)}: ${why}`;
}
