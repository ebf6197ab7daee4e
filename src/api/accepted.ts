import type { Answer, AnswerSpec } from "#api/route.ts";
import { operationSchema } from "#protocol/http/operation.ts";
import type { Operation } from "#protocol/http/operation.ts";

/** How every change that takes its time is answered. */
export const accepted: AnswerSpec = {
  status: 202,
  about: "Accepted and durable: the operation that makes it so; Location leads to it.",
  type: "application/json",
  schema: operationSchema,
};

export const accept = (operation: Operation): Answer => ({
  status: 202,
  body: operation,
  headers: { location: `/v1/operations/${encodeURIComponent(operation.id)}` },
});
