import type { Operation } from "#protocol/http/operation.ts";
import { subjectOf } from "#cli/names.ts";
import { printable } from "#cli/table.ts";
import type { CommandContext } from "#cli/command.ts";

/** One line that says where a change is: on a terminal it is rewritten, elsewhere a new one whenever it changes. */
export type Progress = { show(line: string): void; end(): void };

export function progressOn(context: Pick<CommandContext, "terminal">): Progress {
  const { terminal } = context;
  let shown = "";
  return {
    show(line) {
      const text = printable(line);
      if (text === shown) return;
      shown = text;
      if (terminal.errIsTerminal) terminal.err(`\r\u001b[2K${text.slice(0, terminal.columns() - 1)}`);
      else terminal.err(`${text}\n`);
    },
    end() {
      if (terminal.errIsTerminal && shown !== "") terminal.err("\r\u001b[2K");
      shown = "";
    },
  };
}

/** "up shop: starting 3/5: waiting for web-2". */
export function operationLine(operation: Operation): string {
  const { done, total } = operation.progress;
  const counted = total > 0 && operation.phase !== "accepted" ? ` ${done}/${total}` : "";
  const what = operation.message === "" ? "" : `: ${operation.message}`;
  return `${operation.kind} ${subjectOf(operation)}: ${operation.phase}${counted}${what}`;
}
