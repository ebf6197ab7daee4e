import { setImmediate } from "node:timers/promises";
import { z } from "zod";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import { apiLimits } from "#api/limits.ts";
import { route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { eventSchema } from "#protocol/http/status.ts";
import type { Event } from "#protocol/http/status.ts";

const cursor = z.coerce.number().int().min(0);

/** A comment: readers skip it, and a connection that died is noticed. */
const heartbeat = ":\n\n";

/** One event as the text of a server-sent event. JSON has no line ends of its own, so one data line holds it. */
export function eventText(event: Event): string {
  return `id: ${event.cursor}\nevent: ${event.kind.replaceAll(/[\r\n]/g, " ")}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Where to begin: a browser that comes back says Last-Event-ID, but still asks the address it was first given. */
function startOf(lastEventId: string | undefined, after: number | undefined, newest: () => number): number {
  if (lastEventId === undefined || lastEventId === "") return after ?? newest();
  const parsed = cursor.safeParse(lastEventId);
  if (parsed.success) return parsed.data;
  throw new ConsortError("bad_input", "Cannot resume the events: Last-Event-ID is no cursor");
}

async function* eventStream(
  events: AsyncIterator<Event>,
  first: Promise<IteratorResult<Event>>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<string> {
  // At once, so that the reader knows it is connected.
  yield heartbeat;
  let next = first;
  while (!signal.aborted) {
    const rest = new AbortController();
    const quiet = clock.sleep(apiLimits.heartbeatMs, AbortSignal.any([signal, rest.signal])).then(
      () => "quiet" as const,
      () => "quiet" as const,
    );
    // An error ends the stream; the reader learns its code when it comes back.
    const result = await Promise.race([next.catch(() => undefined), quiet]);
    rest.abort();
    if (result === "quiet") yield heartbeat;
    else if (result === undefined || result.done === true) return;
    else {
      yield eventText(result.value);
      next = events.next();
    }
  }
}

export const eventRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/events",
    id: "streamEvents",
    summary: "What happens, as it happens",
    query: z.object({
      after: cursor.optional().meta({
        description:
          "Begin after this cursor; 0: with the oldest kept; absent: with what comes. Last-Event-ID wins.",
      }),
    }),
    answer: {
      status: 200,
      about:
        "Server-sent events; `id` is the cursor to resume after, `data` one event. 410 when it is too old.",
      type: "text/event-stream",
      schema: eventSchema,
    },
    handle: async ({ query, lastEventId, signal }, { service, clock }) => {
      const start = startOf(lastEventId, query.after, () => service.lastCursor());
      const events = service.events(start, signal)[Symbol.asyncIterator]();
      const first = events.next();
      // A cursor that is too old is refused before anything is sent; the first event may be long in coming.
      await Promise.race([first, setImmediate()]);
      return { status: 200, type: "text/event-stream", stream: eventStream(events, first, clock, signal) };
    },
  }),
];
