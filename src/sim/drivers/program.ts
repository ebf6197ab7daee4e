/** What an appliance's command does, as far as a machine without processors can tell. */
export type Program = {
  /** Executes for so long and ends with that code; absent: stays until it is told to stop. */
  readonly ends?: { readonly afterMs: number; readonly code: number };
  /** Does not listen when told to stop. */
  readonly stubborn: boolean;
  readonly output: string;
};

const millisPerSecond = 1000;

/**
 *   stay                    runs until it is told to stop
 *   exit CODE               ends at once
 *   end MS CODE             ends after so long
 *   say TEXT                prints a line and stays
 *   stubborn                has to be killed
 *   sleep SECONDS           as everywhere; "infinity" stays
 *
 * Anything else stays, as services do.
 */
export function programOf(command: readonly string[]): Program {
  const [word = "", first = "", second = "0"] = command;
  const stays: Program = { stubborn: false, output: "" };
  switch (word.slice(word.lastIndexOf("/") + 1)) {
    case "exit":
      return { ...stays, ends: { afterMs: 0, code: Number(first) } };
    case "end":
      return { ...stays, ends: { afterMs: Number(first), code: Number(second) } };
    case "say":
      return { ...stays, output: `${first}\n` };
    case "stubborn":
      return { ...stays, stubborn: true };
    case "sleep":
      return Number.isFinite(Number(first))
        ? { ...stays, ends: { afterMs: Number(first) * millisPerSecond, code: 0 } }
        : stays;
    default:
      return stays;
  }
}
