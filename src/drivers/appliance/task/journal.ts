import { millis } from "#base/units.ts";
import type { Millis } from "#base/units.ts";

/**
 * What a supervisor wrote down about its command. Truncated at the start of each run, so it stays short:
 *
 *   (0 ready) → N starting → N running → N ended CODE
 *                        ↘ N failed CODE WHY        0 broken: the machine itself could not be set up
 *
 * "N fenced" is last while the host's lease is over, and taken away when there is a later one.
 */
export type JournalEntry = {
  readonly run: number;
  readonly what: "ready" | "starting" | "running" | "fenced" | "ended" | "failed" | "broken";
  readonly code: number;
  readonly at: Millis;
  readonly message: string;
};

const kinds: ReadonlySet<string> = new Set([
  "ready",
  "starting",
  "running",
  "fenced",
  "ended",
  "failed",
  "broken",
]);

/** All whole lines; a line being written has no end yet and is left for later. */
export function parseJournal(text: string): JournalEntry[] {
  const lines = text.split("\n").slice(0, -1);
  return lines.flatMap((one) => {
    const [run, what, code, at, message] = one.split("\t");
    if (what === undefined || !kinds.has(what)) return [];
    return [
      {
        run: Number(run),
        what: what as JournalEntry["what"],
        code: Number(code),
        at: millis(Number(at)),
        message: decodeURIComponent(message ?? ""),
      },
    ];
  });
}
