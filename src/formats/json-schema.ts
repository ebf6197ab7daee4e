import * as z from "zod";
import { ensembleSchema } from "#formats/ensemble-schema.ts";
import { jobSchema } from "#formats/job-schema.ts";
import { scenarioSchema } from "#formats/scenario-schema.ts";
import { topologySchema } from "#formats/topology-schema.ts";

/** JSON Schema of ensemble files, for editors. */
export function ensembleJsonSchema(): Record<string, unknown> {
  return {
    ...jsonSchema(ensembleSchema, "Consort ensemble", "What a user declares; docs/reference/ensemble.md."),
    patternProperties: { "^x-": { description: "The writer's own, ignored: a place for YAML anchors." } },
  };
}

/** JSON Schema of topology files. */
export function topologyJsonSchema(): Record<string, unknown> {
  return jsonSchema(
    topologySchema,
    "Consort topology",
    "Hosts, devices and cables; docs/reference/topology.md.",
  );
}

/** JSON Schema of job files. */
export function jobJsonSchema(): Record<string, unknown> {
  return jsonSchema(jobSchema, "Consort job", "A program to run in an appliance; docs/reference/jobs.md.");
}

/** JSON Schema of scenario files. */
export function scenarioJsonSchema(): Record<string, unknown> {
  return jsonSchema(
    scenarioSchema,
    "Consort scenario",
    "A cloud that never was, and what happens in it; docs/reference/scenario.md.",
  );
}

function jsonSchema(schema: z.ZodType, title: string, description: string): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: "input", reused: "inline" });
  return { $schema, title, description, ...rest };
}
