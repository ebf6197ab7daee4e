import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ensembles } from "#formats/ensemble.arbitrary.ts";
import {
  ensembleDocument,
  formatEnsembleYaml,
  parseEnsemble,
  parseEnsembleDocument,
} from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";

test("every ensemble reads back from its YAML as it was", () => {
  fc.assert(
    fc.property(ensembles, (ensemble) => {
      const yaml = formatEnsembleYaml(ensemble);
      const parsed = parseEnsemble(yaml, { file: "e.yaml" });
      assert.ok(parsed.ok, parsed.ok ? "" : `${parsed.problems.map(formatProblem).join("\n")}\n${yaml}`);
      assert.deepEqual(parsed.value, ensemble);
    }),
    { numRuns: 150 },
  );
});

test("every ensemble reads back from its JSON, as a file and as a document", () => {
  fc.assert(
    fc.property(ensembles, (ensemble) => {
      const json = JSON.stringify(ensembleDocument(ensemble), undefined, "\t");
      assert.deepEqual(parseEnsemble(json, { file: "e.json" }), { ok: true, value: ensemble });
      assert.deepEqual(parseEnsembleDocument(JSON.parse(json), "api"), { ok: true, value: ensemble });
    }),
    { numRuns: 80 },
  );
});

test("the exported YAML is stable: exporting what was read gives the same text", () => {
  fc.assert(
    fc.property(ensembles, (ensemble) => {
      const yaml = formatEnsembleYaml(ensemble);
      const parsed = parseEnsemble(yaml, { file: "e.yaml" });
      assert.ok(parsed.ok);
      assert.equal(formatEnsembleYaml(parsed.value), yaml);
    }),
    { numRuns: 50 },
  );
});
