import type { z } from "zod";
import { ConsortError } from "#base/errors.ts";
import type { Clock } from "#base/runtime.ts";
import type { ClusterService } from "#cluster/service.ts";

export type ApiParts = {
  readonly service: ClusterService;
  readonly clock: Clock;
  readonly version: string;
  /** The OpenAPI description of the routes. */
  readonly document: () => unknown;
};

export type Answer =
  | { readonly status: 204; readonly empty: true }
  | { readonly status: number; readonly body: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly status: number; readonly type: string; readonly text: string }
  | { readonly status: number; readonly type: string; readonly stream: AsyncIterable<string> };

/** What a successful answer looks like, for the description. `schema` describes the body, or each line of a stream. */
export type AnswerSpec =
  | {
      readonly status: 200 | 202;
      readonly about: string;
      readonly type: "application/json" | "application/x-ndjson" | "text/event-stream" | "text/plain";
      readonly schema?: z.ZodType;
    }
  | { readonly status: 204; readonly about: string };

export type RawCall = {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
  readonly lastEventId?: string;
  /** Aborts when the caller goes away or the API closes. */
  readonly signal: AbortSignal;
};

type Call<Params, Query, Body> = {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly lastEventId?: string;
  readonly signal: AbortSignal;
};

type RouteShape = {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** As OpenAPI writes it: "/v1/ensembles/{name}". */
  readonly path: string;
  /** Names it for generated clients. */
  readonly id: string;
  readonly summary: string;
  readonly answer: AnswerSpec;
  /** Needs no token. */
  readonly open?: true;
};

type RouteSpec<Params, Query, Body> = RouteShape & {
  readonly params?: z.ZodType<Params>;
  readonly query?: z.ZodType<Query>;
  readonly body?: z.ZodType<Body>;
  /** Described by `body`, but checked by the handler, whose parser gives better problems. */
  readonly rawBody?: true;
  readonly handle: (call: Call<Params, Query, Body>, parts: ApiParts) => Promise<Answer>;
};

export type Route = RouteShape & {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  run(call: RawCall, parts: ApiParts): Promise<Answer>;
};

/** A route whose handler gets what its schemas let through. @throws `bad_input` from `run`. */
export function route<Params, Query, Body>(spec: RouteSpec<Params, Query, Body>): Route {
  const { handle, rawBody, ...shape } = spec;
  const bodySchema = rawBody === true ? undefined : spec.body;
  return {
    ...shape,
    run: (raw, parts) =>
      handle(
        {
          params: checked("the path", spec.params, raw.params),
          query: checked("the query", spec.query, raw.query),
          body: checked("the body", bodySchema, raw.body),
          signal: raw.signal,
          ...(raw.lastEventId === undefined ? {} : { lastEventId: raw.lastEventId }),
        },
        parts,
      ),
  };
}

function checked<Value>(what: string, schema: z.ZodType<Value> | undefined, value: unknown): Value {
  // A part without a schema has the type unknown, or what the route says its own parser takes.
  if (schema === undefined) return value as Value;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => ({
    file: "request",
    line: 0,
    column: 0,
    path: issue.path.map(String).join("."),
    message: issue.message,
  }));
  const words = problems.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
  throw new ConsortError("bad_input", `Cannot take ${what} of the request: ${words.join("; ")}`, {
    details: { problems },
  });
}

export const done: Answer = { status: 204, empty: true };

export const ok = (body: unknown): Answer => ({ status: 200, body });

export const jsonAnswer = (about: string, schema: z.ZodType): AnswerSpec => ({
  status: 200,
  about,
  type: "application/json",
  schema,
});
