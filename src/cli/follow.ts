import { codeOf, errorTable, messageOf } from "#base/errors.ts";
import { untilEnded } from "#cli/change.ts";
import { route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { CommandContext } from "#cli/command.ts";
import { operationLine, progressOn } from "#cli/progress.ts";
import { printable } from "#cli/table.ts";
import type { Operation } from "#protocol/http/operation.ts";

/**
 * Shows an operation until it has ended. Ctrl-C: an `up` is cancelled, which brings back what was desired before;
 * a `down` goes on without us. Resolves with the operation as it ended, or as it was left.
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
  const name = operation.ensemble;
  if (operation.kind === "down") {
    err(`Interrupted: the removal of ${name} was accepted and goes on; see consort ps, consort operations\n`);
    return operation;
  }
  err(`Interrupted: cancelling up ${name}; Ctrl-C again to leave it to the manager\n`);
  const one = route`/v1/operations/${operation.id}`;
  try {
    const cancelled = await client.request<Operation>("DELETE", one, context.afterwards);
    err(`Cancelled: what was desired of ${name} before holds again; see consort ps ${name}\n`);
    return cancelled;
  } catch (error) {
    if (codeOf(error) === "conflict") return await client.request<Operation>("GET", one, context.afterwards);
    err(`Cannot cancel: ${messageOf(error)}; the manager goes on with up ${name}: consort operations\n`);
    return operation;
  }
}

/** Prints how an operation ended, and gives the exit code. */
export function conclude(operation: Operation, json: boolean, context: CommandContext): number {
  const { out, err } = context.terminal;
  if (json) out(`${JSON.stringify(operation, undefined, 2)}\n`);
  const { kind, ensemble, state, error, endedAtMs, createdAtMs } = operation;
  if (state === "done") {
    const took = endedAtMs === undefined ? "" : ` in ${((endedAtMs - createdAtMs) / 1000).toFixed(2)} s`;
    const what =
      kind === "down"
        ? "is removed"
        : `runs: ${operation.progress.done} of ${operation.progress.total} ready`;
    if (!json) out(`${ensemble} ${what}${took}\n`);
    return 0;
  }
  if (state === "failed" && !json)
    err(
      `consort: ${whyFailed(operation)}\n${ensemble} is left as it is: see consort ps ${ensemble}, consort logs; consort down ${ensemble} removes it\n`,
    );
  return state === "failed" ? errorTable[codeOf(error)].exit : errorTable.cancelled.exit;
}

function whyFailed({ kind, ensemble, error, message }: Operation): string {
  const why = printable(error?.message ?? message);
  return why.startsWith("Cannot ")
    ? why
    : `Cannot ${kind === "up" ? "bring up" : "remove"} ${ensemble}: ${why}`;
}
