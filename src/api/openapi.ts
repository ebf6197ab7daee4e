import { z } from "zod";
import { errorTable } from "#base/errors.ts";
import type { Route } from "#api/route.ts";
import { apiRoutes } from "#api/routes.ts";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { jobSchema } from "#formats/job-schema.ts";
import { teamSchema, teamsSchema } from "#formats/reservation-schema.ts";
import { resizeSchema } from "#formats/resize-document.ts";
import { teamSchema as snapshotTeamSchema } from "#formats/snapshot-adaptation.ts";
import { snapshotSchema } from "#formats/snapshot-schema.ts";
import { errorBodySchema } from "#protocol/http/error.ts";
import { execLineSchema, execRequestSchema } from "#protocol/http/exec.ts";
import { jobOutputSchema, jobStatusSchema } from "#protocol/http/job.ts";
import { operationSchema } from "#protocol/http/operation.ts";
import { explanationSchema, planResultSchema } from "#protocol/http/plan.ts";
import {
  applianceStatusSchema,
  ensembleStatusSchema,
  eventSchema,
  hostStatusSchema,
  linkStatusSchema,
} from "#protocol/http/status.ts";
import { versionSchema } from "#protocol/http/version.ts";

type Json = Readonly<Record<string, unknown>>;

/** Shapes that have a name in the description; everything else is written out where it is used. */
const components: Readonly<Record<string, z.ZodType>> = {
  ApplianceStatus: applianceStatusSchema,
  CloudSnapshot: snapshotSchema,
  Ensemble: ensembleSchema,
  EnsembleStatus: ensembleStatusSchema,
  Error: errorBodySchema,
  Event: eventSchema,
  ExecLine: execLineSchema,
  ExecRequest: execRequestSchema,
  Explanation: explanationSchema,
  HostStatus: hostStatusSchema,
  Job: jobSchema,
  JobOutput: jobOutputSchema,
  JobStatus: jobStatusSchema,
  LinkStatus: linkStatusSchema,
  Operation: operationSchema,
  PlanResult: planResultSchema,
  ResizeRequest: resizeSchema,
  SnapshotTeam: snapshotTeamSchema,
  Team: teamSchema,
  Teams: teamsSchema,
  Version: versionSchema,
};

const referenceTo = (name: string): string => `#/components/schemas/${name}`;

/** The OpenAPI 3.1 description of the HTTP API, made from the routes and shapes that serve it. */
export function openApiDocument(): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of apiRoutes) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = operationOf(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Consort",
      version: "v1",
      description: "The HTTP API of a cluster manager; docs/reference/api.md explains it.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ token: [] }],
    paths,
    components: {
      schemas: componentSchemas(),
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
    },
  };
}

function operationOf(route: Route): Json {
  const { answer, body } = route;
  return {
    operationId: route.id,
    summary: route.summary,
    ...(route.open === true ? { security: [] } : {}),
    parameters: [...parameters("path", route.params), ...parameters("query", route.query)],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: schemaOf(body) } } } }),
    responses: {
      [answer.status]: { description: answer.about, ...contentOf(answer) },
      default: {
        description: `Refused or failed: ${Object.keys(errorTable).join(", ")}.`,
        content: { "application/json": { schema: { $ref: referenceTo("Error") } } },
      },
    },
  };
}

function contentOf(answer: Route["answer"]): Json {
  if (answer.status === 204) return {};
  const schema = answer.schema === undefined ? { type: "string" } : schemaOf(answer.schema);
  return { content: { [answer.type]: { schema } } };
}

function parameters(place: "path" | "query", schema: z.ZodType | undefined): Json[] {
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([name, part]) => {
    const { description, ...rest } = withoutHead(z.toJSONSchema(part));
    return {
      name,
      in: place,
      required: place === "path",
      ...(description === undefined ? {} : { description }),
      schema: rest,
    };
  });
}

function componentSchemas(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(components)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: "input", uri: referenceTo });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutHead(schema)]));
}

function schemaOf(schema: z.ZodType): Json {
  const name = nameOf(schema);
  if (name !== undefined) return { $ref: referenceTo(name) };
  if (schema instanceof z.ZodArray) return { type: "array", items: schemaOf(schema.element as z.ZodType) };
  return withoutHead(z.toJSONSchema(schema, { io: "input" }));
}

const nameOf = (schema: z.ZodType): string | undefined =>
  Object.entries(components).find(([, one]) => one === schema)?.[0];

/** What belongs at the head of a schema file, not inside a description. */
function withoutHead(schema: object): Json {
  const { $schema: _dialect, $id: _place, ...rest } = schema as Record<string, unknown>;
  return rest;
}
