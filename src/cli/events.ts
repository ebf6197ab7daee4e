import { codeOf } from "#base/errors.ts";
import { millis } from "#base/units.ts";
import { apiOptions } from "#cli/arguments.ts";
import { connect } from "#cli/client.ts";
import type { Client } from "#cli/client.ts";
import type { Command, CommandContext } from "#cli/command.ts";
import { printable } from "#cli/table.ts";
import type { Event } from "#protocol/http/status.ts";

/** Without --follow: what is kept has come when nothing more did for this long. */
const quietMs = millis(300);
/** The usual widths; what is longer moves its line only. */
const kindWidth = "appliance.suspended".length;
const subjectWidth = 16;
/** Before a lost stream is taken up again. */
const reconnectMs = millis(500);

export const command: Command = {
  usage: ["events [--follow] [--after N]"],
  options: {
    ...apiOptions,
    follow: { about: "Go on with what happens, until Ctrl-C", short: "f" },
    after: { about: "Only events after this cursor", value: "N" },
  },
  about: [
    "Prints what happened: cursor, time, kind, subject. Cursors grow; a reader that remembers the last one it saw misses\nnothing. With --follow a lost connection is taken up again where it broke. With --json: one object a line.",
  ],
  examples: [
    { line: "consort events", what: "what is kept" },
    { line: "consort events --follow --after 1200", what: "resume after cursor 1200" },
  ],
  takes: [0, 0],
  async run(given, context) {
    const client = await connect(given, context);
    const print = (event: Event): void =>
      context.terminal.out(given.has("json") ? `${JSON.stringify(event)}\n` : eventLine(event));
    if (!given.has("follow")) await readKept(client, given.number("after") ?? 0, context, print);
    else await followEvents(client, given.number("after") ?? 0, context, print);
    return 0;
  },
};

/** "1201  12:30:01.250  appliance.running  shop/web-1  started on a1" */
export function eventLine(event: Event): string {
  const time = new Date(event.atMs).toISOString().slice(11, 23);
  const parts = [
    event.cursor,
    time,
    event.kind.padEnd(kindWidth),
    event.subject.padEnd(subjectWidth),
    event.message,
  ];
  return `${parts
    .map((part) => printable(String(part)))
    .join("  ")
    .trimEnd()}\n`;
}

/** Events of a server-sent stream after the cursor. */
export async function* eventsAfter(
  client: Client,
  cursor: number,
  signal: AbortSignal,
  opened: () => void = () => {},
): AsyncGenerator<Event> {
  const options = { opened, headers: { accept: "text/event-stream", "last-event-id": String(cursor) } };
  let data = "";
  for await (const line of client.lines("GET", `/v1/events?after=${cursor}`, signal, options)) {
    if (line.startsWith("data:")) data += line.slice("data:".length).trimStart();
    else if (line === "" && data !== "") {
      yield JSON.parse(data) as Event;
      data = "";
    }
  }
}

async function readKept(
  client: Client,
  cursor: number,
  context: CommandContext,
  print: (event: Event) => void,
): Promise<void> {
  const enough = new AbortController();
  const signal = AbortSignal.any([context.signal, enough.signal]);
  const { clock } = context;
  let lastAtMs = clock.monotonic();
  const endWhenQuiet = async (): Promise<void> => {
    lastAtMs = clock.monotonic();
    while (clock.monotonic() - lastAtMs < quietMs) await clock.sleep(quietMs, signal);
    enough.abort();
  };
  // Rejects only when the signal says so, and then the loop below ends too.
  const opened = (): void => void endWhenQuiet().catch(() => {});
  try {
    for await (const event of eventsAfter(client, cursor, signal, opened)) {
      lastAtMs = clock.monotonic();
      print(event);
    }
  } catch (error) {
    if (!enough.signal.aborted) throw error;
  } finally {
    enough.abort();
  }
}

async function followEvents(
  client: Client,
  after: number,
  context: CommandContext,
  print: (event: Event) => void,
): Promise<void> {
  let cursor = after;
  let opened = false;
  while (!context.signal.aborted) {
    try {
      for await (const event of eventsAfter(client, cursor, context.signal, () => (opened = true))) {
        cursor = event.cursor;
        print(event);
      }
    } catch (error) {
      if (context.signal.aborted) return;
      if (codeOf(error) !== "unavailable" || !opened) throw error;
    }
    await context.clock.sleep(reconnectMs, context.signal).catch(() => {});
  }
}
