import { withDeadline } from "#base/deadline.ts";
import type { Clock, Random } from "#base/runtime.ts";
import { millis } from "#base/units.ts";
import type { Progress } from "#cluster/progress.ts";
import type { EnsembleRecord } from "#cluster/records.ts";
import { relayLog } from "#cluster/relay.ts";
import type { Messaging } from "#drivers/messaging/port.ts";

const logBytes = 2048;
const waitMsMax = millis(1000);
const lengthMax = 200;

/** How far it is, and, where an appliance made it fail, the last line that one wrote. */
export async function withLastWords(
  parts: { readonly messaging: Messaging; readonly clock: Clock; readonly random: Random },
  record: EnsembleRecord,
  progress: Progress,
  signal: AbortSignal,
): Promise<Progress> {
  const { failing } = progress;
  if (failing === undefined) return progress;
  const name = failing.slice(record.ensemble.name.length + 1);
  const log = await withDeadline(
    parts.clock,
    waitMsMax,
    (deadline) => relayLog(parts.messaging, record, name, logBytes, deadline),
    signal,
  ).catch(() => "");
  signal.throwIfAborted();
  const line = lastLine(log);
  return line === "" ? progress : { ...progress, message: `${progress.message}; its last line: ${line}` };
}

/** The last line that says anything, cut to a readable length. */
export function lastLine(log: string): string {
  const line = log.trimEnd().split("\n").at(-1)?.trim() ?? "";
  return line.length > lengthMax ? `${line.slice(0, lengthMax)}…` : line;
}
