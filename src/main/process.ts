import { readFileSync } from "node:fs";
import { codeOf, ConsortError, errorTable, messageOf } from "#base/errors.ts";
import type { Clock, Log } from "#base/runtime.ts";
import { systemClock } from "#drivers/system/clock.ts";
import { jsonLog } from "#drivers/system/log.ts";

/** What every manager's process begins with. */
export type Manager<Config> = {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal;
};

/** Reads `--config FILE`, runs the manager until SIGTERM or SIGINT, and ends with the error table's exit code. */
export async function runManager<Config>(
  name: string,
  manage: (manager: Manager<Config>) => Promise<void>,
): Promise<void> {
  const clock = systemClock();
  const log = jsonLog({ clock, fd: 2, level: "info", fields: { manager: name } });
  const stop = new AbortController();
  const asked = new ConsortError("cancelled", "The manager was told to stop");
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort(asked));
  process.on("uncaughtException", (cause) => {
    log.error(`A defect: ${messageOf(cause)}`, { cause });
    process.exit(errorTable.internal.exit);
  });
  try {
    await manage({ config: readConfig() as Config, clock, log, signal: stop.signal });
  } catch (cause) {
    if (stop.signal.aborted) return;
    log.error(messageOf(cause), { cause });
    // Whatever is still open must not keep a manager that does nothing: the supervisor starts another one.
    process.exit(errorTable[codeOf(cause)].exit);
  }
}

/** The configuration is written by this same program (lab/config.ts), so its form is trusted. */
function readConfig(): unknown {
  const { parseArgs } = process.getBuiltinModule("node:util");
  const { values } = parseArgs({ options: { config: { type: "string" } } });
  if (values.config === undefined)
    throw new ConsortError("bad_input", "Cannot start: --config FILE is missing");
  return JSON.parse(readFileSync(values.config, "utf8"));
}
