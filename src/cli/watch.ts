import { codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import type { Arguments, OptionSpec } from "#cli/arguments.ts";
import { lineWidth } from "#cli/command.ts";
import type { CommandContext, Terminal } from "#cli/command.ts";

export const watchOptions: Readonly<Record<string, OptionSpec>> = {
  watch: { about: "Show it again and again, until Ctrl-C", short: "w" },
  every: { about: "With --watch: seconds between two looks (1)", value: "N" },
};

/**
 * Reads and prints once; with `--watch` (or `always`) until Ctrl-C, on a terminal in place and in its width. With `--json` every
 * look is one line, so that a program can follow it; `json` says what of the view it is.
 */
export async function showOrWatch<View>(
  given: Arguments,
  context: CommandContext,
  read: (signal: AbortSignal) => Promise<View>,
  format: (view: View, width: number) => string,
  options: { always?: boolean; json?: (view: View) => unknown } = {},
): Promise<number> {
  const watching = given.has("watch") || options.always === true;
  const json = given.has("json");
  const { terminal, clock, signal } = context;
  const everyMs = millis(Math.max(1, given.number("every") ?? 1) * 1000);
  try {
    for (;;) {
      const view = await read(signal);
      if (json)
        terminal.out(`${JSON.stringify(options.json?.(view) ?? view, undefined, watching ? 0 : 2)}\n`);
      else if (watching && terminal.outIsTerminal)
        terminal.out(inPlace(format(view, lineWidth(terminal)), terminal));
      else terminal.out(format(view, lineWidth(terminal)));
      if (!watching) return 0;
      await clock.sleep(everyMs, signal);
    }
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (watching && signal.aborted && codeOf(error) === "internal") return 0;
    throw error;
  }
}

/** Home, each line cleared to its end as it is written, then the rest of the screen: no flicker. */
function inPlace(text: string, { rows, columns }: Terminal): string {
  const lines = text
    .split("\n")
    .slice(0, rows() - 1)
    .map((line) => line.slice(0, columns()));
  return `\u001b[H${lines.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`;
}
