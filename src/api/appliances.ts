import { z } from "zod";
import { ConsortError, codeOf, messageOf } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { apiLimits } from "#api/limits.ts";
import { OutputQueue } from "#api/output-queue.ts";
import { route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { execLineSchema, execRequestSchema } from "#protocol/http/exec.ts";
import type { ExecLine } from "#protocol/http/exec.ts";

const which = z.object({ name: z.string(), appliance: z.string() });

const lineOf = (line: ExecLine): string => `${JSON.stringify(line)}\n`;

/** Once output has begun the status is sent, so a failure becomes the last line. */
async function* withFailureLine(queue: OutputQueue): AsyncGenerator<string> {
  try {
    yield* queue;
  } catch (error) {
    const code = codeOf(error);
    const message = code === "internal" ? "Cannot go on: see the manager's log" : messageOf(error);
    yield lineOf({ error: { code, message } });
  }
}

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
      const queue = new OutputQueue(apiLimits.execBacklogBytesMax);
      const overrun = new AbortController();
      const { command, env, stdinBase64 } = body;
      const onOutput = (stream: "stdout" | "stderr", chunk: Uint8Array): void => {
        if (queue.push(lineOf({ stream, dataBase64: Buffer.from(chunk).toString("base64") }))) return;
        const error = new ConsortError(
          "limit_exceeded",
          "Cannot go on: output is not read as fast as it comes",
        );
        queue.fail(error);
        overrun.abort(error);
      };
      const request = { command, env, ...(stdinBase64 === undefined ? {} : { stdinBase64 }) };
      const stop = AbortSignal.any([signal, overrun.signal]);
      service.exec(params.name, params.appliance, request, onOutput, stop).then(
        (exitCode) => {
          queue.push(lineOf({ exitCode }));
          return queue.end();
        },
        (error: unknown) => queue.fail(error),
      );
      await queue.begun();
      return { status: 200, type: "application/x-ndjson", stream: withFailureLine(queue) };
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
