import { z } from "zod";
import { JsonLines } from "#api/json-lines.ts";
import { route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { consoleInputSchema, consoleLineSchema } from "#protocol/http/console.ts";
import type { ConsoleLine } from "#protocol/http/console.ts";

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
      const lines = new JsonLines<ConsoleLine>();
      const listener = {
        onOpen: (session: string): void => lines.push({ session }),
        onOutput: (chunk: Uint8Array): void =>
          lines.push({ dataBase64: Buffer.from(chunk).toString("base64") }),
      };
      const { name, appliance } = params;
      const stop = lines.signal(signal);
      lines.endWith(service.console(name, appliance, listener, stop).then(() => ({ ended: true })));
      return { status: 200, type: "application/x-ndjson", stream: await lines.begun() };
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
