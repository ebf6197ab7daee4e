import { z } from "zod";
import { limits } from "#base/limits.ts";
import { JsonLines } from "#api/json-lines.ts";
import { apiLimits } from "#api/limits.ts";
import { route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { execLineSchema, execRequestSchema } from "#protocol/http/exec.ts";
import type { ExecLine } from "#protocol/http/exec.ts";

const which = z.object({ name: z.string(), appliance: z.string() });

export const applianceRoutes: readonly Route[] = [
  route({
    method: "POST",
    path: "/v1/ensembles/{name}/appliances/{appliance}/exec",
    id: "execInAppliance",
    summary: "Run one more program inside an appliance",
    params: which,
    body: execRequestSchema,
    answer: {
      status: 200,
      about: "One JSON object a line: output as it comes, then the exit code or the error.",
      type: "application/x-ndjson",
      schema: execLineSchema,
    },
    handle: async ({ params, body, signal }, { service }) => {
      const lines = new JsonLines<ExecLine>();
      const { command, env, stdinBase64 } = body;
      const onOutput = (stream: "stdout" | "stderr", chunk: Uint8Array): void =>
        lines.push({ stream, dataBase64: Buffer.from(chunk).toString("base64") });
      const request = { command, env, ...(stdinBase64 === undefined ? {} : { stdinBase64 }) };
      const { name, appliance } = params;
      const stop = lines.signal(signal);
      lines.endWith(
        service.exec(name, appliance, request, onOutput, stop).then((exitCode) => ({ exitCode })),
      );
      return { status: 200, type: "application/x-ndjson", stream: await lines.begun() };
    },
  }),
  route({
    method: "GET",
    path: "/v1/ensembles/{name}/appliances/{appliance}/log",
    id: "getApplianceLog",
    summary: "The end of what an appliance wrote",
    params: which,
    query: z.object({
      maxBytes: z.coerce
        .number()
        .int()
        .min(1)
        .max(limits.logBytesMax)
        .default(apiLimits.logBytesDefault)
        .meta({ description: "How much of its end." }),
    }),
    answer: { status: 200, about: "Standard output and error as they came.", type: "text/plain" },
    handle: async ({ params, query, signal }, { service }) => ({
      status: 200,
      type: "text/plain",
      text: await service.log(params.name, params.appliance, query.maxBytes, signal),
    }),
  }),
];
