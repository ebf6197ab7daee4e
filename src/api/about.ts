import { z } from "zod";
import { jsonAnswer, ok, route } from "#api/route.ts";
import type { Route } from "#api/route.ts";
import { versionSchema } from "#protocol/http/version.ts";
import type { Version } from "#protocol/http/version.ts";

export const aboutRoutes: readonly Route[] = [
  route({
    method: "GET",
    path: "/v1/version",
    id: "getVersion",
    summary: "Who answers here; needs no token",
    open: true,
    answer: jsonAnswer("The version.", versionSchema),
    handle: async (_call, { version }) => ok({ name: "consort", version, api: "v1" } satisfies Version),
  }),
  route({
    method: "GET",
    path: "/v1/openapi.json",
    id: "getOpenApi",
    summary: "This description",
    answer: jsonAnswer("OpenAPI 3.1.", z.looseObject({ openapi: z.string() })),
    handle: async (_call, { document }) => ok(document()),
  }),
];
