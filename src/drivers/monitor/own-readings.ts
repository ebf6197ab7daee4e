import { ConsortError, messageOf } from "#base/errors.ts";
import { bytesMaxFor } from "#control/monitor/readings.ts";
import type { Reading } from "#control/monitor/readings.ts";
import { readerOf } from "#control/monitor/series.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import type { NamedSeries } from "#model/ensemble.ts";

/** What a program prints that runs as this one does: no appliance is around it. Rejects where it does not end with 0. */
export async function readProgram(
  command: readonly string[],
  metrics: NamedSeries | undefined,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<readonly Reading[]> {
  const [file, ...args] = command;
  if (file === undefined) throw new ConsortError("bad_input", "Cannot measure: no command was given");
  return readerOf(metrics)(await subprocess.check(file, args, signal));
}

/** What a page answers that is asked for from where this program is. Rejects unless it answers 200 to 299. */
export async function readPage(
  url: string,
  metrics: NamedSeries | undefined,
  signal: AbortSignal,
): Promise<readonly Reading[]> {
  const bytesMax = bytesMaxFor(metrics);
  const failure = (what: string, cause?: unknown): ConsortError =>
    new ConsortError("driver_failed", `Cannot ask ${url}: ${what}`, { cause });
  const answer = await fetch(url, { signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw failure(wordsOf(cause), cause);
  });
  if (!answer.ok) {
    await answer.body?.cancel();
    throw failure(`it answers ${answer.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw failure(`it answers more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return readerOf(metrics)(Buffer.concat(chunks).toString());
}

/** "fetch failed" says nothing; what it was caused by does. */
const wordsOf = (cause: unknown): string =>
  cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause);
