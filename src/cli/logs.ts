import { ConsortError } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect, route } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { Command } from "#cli/command.ts";
import { legible, printable } from "#cli/table.ts";
import type { EnsembleStatus } from "#protocol/http/status.ts";

const firstBytes = 64 * 1024;
const followBytes = 256 * 1024;
const everyMs = millis(500);
/** How much of what was shown must be found again to know where the new begins. */
const anchorLength = 512;

export const command: Command = {
  usage: ["logs NAME/APPLIANCE"],
  options: {
    ...apiOptions,
    follow: { about: "Go on with what it writes, until Ctrl-C", short: "f" },
    "max-bytes": { about: `How much of the end to show (${firstBytes})`, value: "N" },
  },
  about: [
    "Prints the end of what an appliance wrote to its standard output and error. A terminal is shown its lines and colours\nonly, as whoever wrote them could take it over otherwise; a file or pipe gets all as it is.",
  ],
  examples: [
    { line: "consort logs shop/web-1", what: "the end of it" },
    { line: "consort logs -f shop/web-1", what: "and what comes" },
  ],
  takes: [1, 1],
  async run(given, context) {
    const [ensemble, appliance] = applianceIn(given.positionals[0] ?? "");
    const client = await connect(given, context);
    const { terminal, clock, signal } = context;
    const read = (maxBytes: number): Promise<string> =>
      client.text(
        route`/v1/ensembles/${ensemble}/appliances/${appliance}/log?maxBytes=${String(maxBytes)}`,
        signal,
      );
    const wantedBytes = given.number("max-bytes") ?? firstBytes;
    // What is followed must be there again in the next look from its start, as long as the log is not longer.
    let shown = await read(given.has("follow") ? Math.max(followBytes, wantedBytes) : wantedBytes);
    if (given.has("json")) {
      terminal.out(`${JSON.stringify({ ensemble, appliance, log: shown }, undefined, 2)}\n`);
      return 0;
    }
    const show = (text: string): void => terminal.out(terminal.outIsTerminal ? legible(text) : text);
    show(endOf(shown, wantedBytes));
    if (shown === "") terminal.err(await silence(client, ensemble, appliance, signal));
    if (!given.has("follow")) return 0;
    try {
      for (;;) {
        await clock.sleep(everyMs, signal);
        const now = await read(followBytes);
        show(newPart(shown, now));
        shown = now;
      }
    } catch (error) {
      if (signal.aborted) return 0;
      throw error;
    }
  },
};

/** The last lines of a text, in at most this many bytes; of a longer line its end. */
function endOf(text: string, bytes: number): string {
  const all = Buffer.from(text);
  if (all.length <= bytes) return text;
  const end = all.subarray(all.length - bytes).toString();
  const at = end.indexOf("\n");
  return at < 0 || at === end.length - 1 ? end : end.slice(at + 1);
}

/** Why there may be nothing to read. */
async function silence(
  client: Client,
  ensemble: string,
  appliance: string,
  signal: AbortSignal,
): Promise<string> {
  const status = await client.request<EnsembleStatus>("GET", route`/v1/ensembles/${ensemble}`, signal);
  const one = status.appliances.find(({ name }) => name === appliance);
  const why = one?.message === undefined ? "" : `: ${printable(one.message)}`;
  return `${ensemble}/${appliance} has written nothing; it is ${one?.state ?? "gone"}${why}\n`;
}

/** "shop/web-1" → ["shop", "web-1"]. Throws `bad_input`. */
export function applianceIn(text: string): [ensemble: string, appliance: string] {
  const [ensemble, appliance, ...more] = text.split("/");
  if (
    ensemble !== undefined &&
    ensemble !== "" &&
    appliance !== undefined &&
    appliance !== "" &&
    more.length === 0
  )
    return [ensemble, appliance];
  throw new ConsortError(
    "bad_input",
    `Cannot use "${text}" as an appliance: wanted NAME/APPLIANCE, as in shop/web-1`,
  );
}

/** What `now`, a later end of the same log, has beyond `before`; all of it when the two do not meet. */
export function newPart(before: string, now: string): string {
  if (now.startsWith(before)) return now.slice(before.length);
  const anchor = before.slice(-anchorLength);
  const at = now.lastIndexOf(anchor);
  return at < 0 ? now : now.slice(at + anchor.length);
}
