import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { openApiDocument } from "#api/openapi.ts";
import { apiRoutes } from "#api/routes.ts";

const document = JSON.parse(JSON.stringify(openApiDocument())) as {
  paths: Record<string, Record<string, { operationId: string; parameters: { name: string; in: string }[] }>>;
  components: { schemas: Record<string, unknown> };
};

describe("openApiDocument()", () => {
  it("describes every route, each under its own name", () => {
    const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
    );
    assert.equal(operations.length, apiRoutes.length);
    assert.equal(new Set(operations.map((one) => one.operation.operationId)).size, apiRoutes.length);
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      const described = operation.parameters.filter((one) => one.in === "path").map((one) => one.name);
      assert.deepEqual(described, inPath, path);
    }
  });

  it("refers only to shapes it contains", () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1]);
    assert.ok(references.length > 20);
    const known = new Set(
      Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`),
    );
    for (const reference of references) assert.ok(known.has(reference ?? ""), reference);
  });

  it("is explained in words: every path is in the reference page", () => {
    const page = readFileSync(new URL("../../docs/reference/api.md", import.meta.url), "utf8");
    for (const { method, path } of apiRoutes)
      assert.ok(page.includes(`${method} ${path}`), `${method} ${path}`);
  });
});
