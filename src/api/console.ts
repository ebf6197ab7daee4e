import { z } from "zod";
import { ConsortError, codeOf, messageOf } from "#base/errors.ts";
import { apiLimits } from "#api/limits.ts";
import { OutputQueue } from "#api/output-queue.ts";
import { route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { consoleInputSchema, consoleLineSchema } from "#protocol/http/console.ts";
import type { ConsoleLine } from "#protocol/http/console.ts";

const lineOf = (line: ConsoleLine): string => `${JSON.stringify(line)}\n`;

async function* withFailureLine(queue: OutputQueue): AsyncGenerator<string> {
  try {
    yield* queue;
  } catch (error) {
    const code = codeOf(error);
    const message = code === "internal" ? "Cannot go on: see the manager's log" : messageOf(error);
    yield lineOf({ error: { code, message } });
  }
}

export const consoleRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/appliances/{appliance}/console",
    id: "openConsole",
    summary: "Look at the console of a virtual machine",
    params: z.object({ name: z.string(), appliance: z.string() }),
    answer: {
      status: 200,
      about: "One JSON object a line: the session to type into, then what the guest writes.",
      type: "application/x-ndjson",
      schema: consoleLineSchema,
    },
    handle: async ({ params, signal }, { service }) => {
      const queue = new OutputQueue(apiLimits.execBacklogBytesMax);
      const overrun = new AbortController();
      const onOutput = (chunk: Uint8Array): void => {
        if (queue.push(lineOf({ dataBase64: Buffer.from(chunk).toString("base64") }))) return;
        const error = new ConsortError(
          "limit_exceeded",
          "Cannot go on: output is not read as fast as it comes",
        );
        queue.fail(error);
        overrun.abort(error);
      };
      const stop = AbortSignal.any([signal, overrun.signal]);
      const onOpen = (session: string): void => void queue.push(lineOf({ session }));
      service.console(params.name, params.appliance, { onOpen, onOutput }, stop).then(
        () => {
          queue.push(lineOf({ ended: true }));
          return queue.end();
        },
        (error: unknown) => queue.fail(error),
      );
      await queue.begun();
      return { status: 200, type: "application/x-ndjson", stream: withFailureLine(queue) };
    },
  }),
  route({
    method: "POST",
    path: "/v1/consoles/{session}",
    id: "typeIntoConsole",
    summary: "Type into a console that is open",
    params: z.object({ session: z.string().regex(/^[0-9a-f]{32}$/) }),
    body: consoleInputSchema,
    answer: { status: 204, about: "Handed on." },
    handle: async ({ params, body }, { service }) => {
      service.typeIntoConsole(params.session, Buffer.from(body.dataBase64, "base64"));
      return { status: 204, empty: true };
    },
  }),
];
