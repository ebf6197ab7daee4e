import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatEnsembleYaml, parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Ensemble } from "#model/ensemble.ts";

const folder = join(import.meta.dirname, "..", "..", "examples");
/** Scenarios are played by a test of their own. */
const files = readdirSync(folder).filter(
  (file) => /\.(yaml|xml)$/.test(file) && !file.endsWith(".scenario.yaml"),
);

function example(file: string): Ensemble {
  const parsed = parseEnsemble(readFileSync(join(folder, file), "utf8"), { file });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value;
}

test("there are examples", () => assert.ok(files.length >= 7, files.join()));

for (const file of files) {
  test(`${file} is an ensemble, and the same one after export`, () => {
    const ensemble = example(file);
    const again = parseEnsemble(formatEnsembleYaml(ensemble), { file: "again.yaml" });
    assert.deepEqual(again, { ok: true, value: ensemble });
  });
}

test("the unmanaged contention example is the managed one without links", () => {
  assert.deepEqual(example("contention-unmanaged.yaml"), { ...example("contention.yaml"), links: [] });
});

test("the two ensembles have different names and the same appliances", () => {
  const [a, b] = [example("two-ensembles-a.yaml"), example("two-ensembles-b.yaml")];
  assert.notEqual(a.name, b.name);
  assert.deepEqual(a.appliances, b.appliances);
});
