import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openApiDocument } from "#api/openapi.ts";
import {
  ensembleJsonSchema,
  jobJsonSchema,
  scenarioJsonSchema,
  topologyJsonSchema,
} from "#formats/json-schema.ts";
import { withAllOptional } from "./lock-file.ts";

/** A file that is made from the code: `path` from the project's root, `content` its whole text. */
export type Generator = { readonly path: string; readonly content: () => string };

const lockFile = join(import.meta.dirname, "../package-lock.json");

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** All of them: `npm run generate` writes them, generate.test.ts holds the files to them. */
export const generators: readonly Generator[] = [
  { path: "docs/reference/ensemble.schema.json", content: () => json(ensembleJsonSchema()) },
  { path: "docs/reference/topology.schema.json", content: () => json(topologyJsonSchema()) },
  { path: "docs/reference/scenario.schema.json", content: () => json(scenarioJsonSchema()) },
  { path: "docs/reference/job.schema.json", content: () => json(jobJsonSchema()) },
  { path: "docs/reference/openapi.json", content: () => json(openApiDocument()) },
  // From itself: npm writes it without what its registry does not carry.
  { path: "package-lock.json", content: () => withAllOptional(readFileSync(lockFile, "utf8")) },
];
