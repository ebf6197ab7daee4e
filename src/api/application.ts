import { Readable } from "node:stream";
import fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ConsortError } from "#base/errors.ts";
import type { Log } from "#base/runtime.ts";
import { failureOf } from "#api/failure.ts";
import { isTrustedHost } from "#api/host-header.ts";
import { apiLimits } from "#api/limits.ts";
import type { Answer, ApiParts, RawCall, Route } from "#api/route.ts";
import { apiRoutes } from "#api/routes.ts";
import { tokenCheck } from "#api/token.ts";

export type ApplicationOptions = ApiParts & {
  readonly log: Log;
  readonly token: string;
  /** Names of this machine, besides its addresses and localhost, that callers may use. */
  readonly hostNames: readonly string[];
  /** Ends every answer that still streams. */
  readonly closing: AbortSignal;
};

/** The API as an application that does not listen yet: `inject` tries it, server.ts puts it on a socket. */
export function application(options: ApplicationOptions): FastifyInstance {
  const app = fastify({
    bodyLimit: apiLimits.bodyBytesMax,
    requestTimeout: apiLimits.requestMsMax,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: apiLimits.pathPartLengthMax },
  });
  const isToken = tokenCheck(options.token);
  const open = new Set(apiRoutes.filter((one) => one.open === true).map((one) => one.path));

  app.addHook("onRequest", async (request) => {
    if (!isTrustedHost(request.headers.host, options.hostNames)) {
      throw new ConsortError("forbidden", "Cannot answer: the Host of the request is not this machine's");
    }
    if (open.has(request.routeOptions.url ?? "") || isToken(request.headers.authorization)) return;
    throw new ConsortError(
      "unauthenticated",
      "Cannot answer: the request has no valid token, wanted Authorization: Bearer <token>",
    );
  });
  app.setErrorHandler((error, request, reply) => fail(error, request, reply, options.log));
  app.setNotFoundHandler((request) => {
    throw new ConsortError(
      "not_found",
      `Cannot ${request.method} ${request.url.split("?")[0]}: no such path, see /v1/openapi.json`,
    );
  });
  for (const route of apiRoutes) {
    app.route({
      method: route.method,
      url: route.path.replaceAll(/\{(\w+)\}/g, ":$1"),
      handler: (request, reply) => serve(route, request, reply, options),
    });
  }
  return app;
}

async function serve(
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
  options: ApplicationOptions,
): Promise<FastifyReply> {
  const gone = new AbortController();
  const leave = (): void =>
    gone.abort(new ConsortError("cancelled", "Cannot go on: the caller is gone or the API closes"));
  // One controller a request: the process-long signal must not collect a listener of every request.
  options.closing.addEventListener("abort", leave, { once: true });
  if (options.closing.aborted) leave();
  reply.raw.once("close", () => {
    options.closing.removeEventListener("abort", leave);
    if (!reply.raw.writableFinished) leave();
  });
  const lastEventId = request.headers["last-event-id"];
  const call: RawCall = {
    params: request.params,
    query: request.query,
    body: request.body,
    signal: gone.signal,
    ...(typeof lastEventId === "string" ? { lastEventId } : {}),
  };
  return send(reply, await route.run(call, options));
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  void reply
    .code(answer.status)
    .header("cache-control", "no-store")
    .header("x-content-type-options", "nosniff");
  if ("empty" in answer) return reply.send();
  if ("body" in answer) return reply.headers(answer.headers ?? {}).send(answer.body);
  const type = answer.type.startsWith("text/") ? `${answer.type}; charset=utf-8` : answer.type;
  return reply.type(type).send("text" in answer ? answer.text : Readable.from(answer.stream));
}

/** Errors meet the log here, once: those that are ours to mend with their cause, the caller's in a word. */
function fail(error: unknown, request: FastifyRequest, reply: FastifyReply, log: Log): FastifyReply {
  const { status, code, body } = failureOf(error);
  const fields = { method: request.method, path: request.url.split("?")[0], code };
  if (code === "internal" || code === "driver_failed") log.error("A request failed", { ...fields, error });
  else log.debug("Refused a request", { ...fields, message: body.error.message });
  if (code === "unauthenticated") void reply.header("www-authenticate", "Bearer");
  return reply.code(status).header("cache-control", "no-store").send(body);
}
