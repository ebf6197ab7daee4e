import { createHash } from "node:crypto";
import { z } from "zod";
import { operationId } from "#base/ids.ts";
import { millis } from "#base/units.ts";
import { apiLimits } from "#api/limits.ts";
import { jsonAnswer, ok, route } from "#api/route.ts";
import type { ApiParts, Route } from "#api/route.ts";
import { operationSchema } from "#protocol/http/operation.ts";
import type { Operation } from "#protocol/http/operation.ts";

const withId = z.object({ id: z.string() });

/** Names one state of an operation: the ETag of its answer, and what `since` takes. */
const versionOf = (operation: Operation): string =>
  createHash("sha256").update(JSON.stringify(operation)).digest("hex").slice(0, 16);

/**
 * The operation once it differs from `since` (absent: from what it is now), has ended, or `waitMs` is over. Looks
 * again and again instead of being told, so that the service need not know who waits.
 */
async function changed(
  parts: ApiParts,
  id: string,
  wait: { waitMs: number; since: string | undefined },
  signal: AbortSignal,
): Promise<Operation> {
  const { service, clock } = parts;
  const deadline = clock.monotonic() + wait.waitMs;
  let operation = await service.operation(operationId(id), signal);
  const since = wait.since ?? versionOf(operation);
  while (operation.state === "running" && versionOf(operation) === since) {
    const left = deadline - clock.monotonic();
    if (left <= 0) break;
    await clock.sleep(millis(Math.min(left, apiLimits.waitStepMs)), signal);
    operation = await service.operation(operationId(id), signal);
  }
  return operation;
}

export const operationRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/operations",
    id: "listOperations",
    summary: "All operations that run, and those that ended lately",
    answer: jsonAnswer("Operations.", z.array(operationSchema)),
    handle: async ({ signal }, { service }) => ok(await service.operations(signal)),
  }),
  route({
    method: "GET",
    path: "/v1/operations/{id}",
    id: "getOperation",
    summary: "One operation, at once or when it has changed",
    params: withId,
    query: z.object({
      waitMs: z.coerce
        .number()
        .min(0)
        .max(apiLimits.waitMsMax)
        .default(0)
        .meta({ description: "Answer when it has changed or ended, after this long at the latest." }),
      since: z.string().optional().meta({
        description: "The ETag of the state already known; absent: the state at the time of asking.",
      }),
    }),
    answer: jsonAnswer("The operation; its ETag names this state of it.", operationSchema),
    handle: async ({ params, query, signal }, parts) => {
      const wait = { waitMs: query.waitMs, since: query.since?.replaceAll('"', "") };
      const operation = await changed(parts, params.id, wait, signal);
      return { status: 200, body: operation, headers: { etag: `"${versionOf(operation)}"` } };
    },
  }),
  route({
    method: "DELETE",
    path: "/v1/operations/{id}",
    id: "cancelOperation",
    summary: "Cancel an operation: what was desired before holds again",
    params: withId,
    answer: jsonAnswer("The operation as it is now.", operationSchema),
    handle: async ({ params, signal }, { service }) =>
      ok(await service.cancel(operationId(params.id), signal)),
  }),
];
