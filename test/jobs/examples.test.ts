import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { jobDocument } from "#formats/job-document.ts";
import { formatJobYaml, parseJob } from "#formats/job.ts";
import { formatProblem } from "#formats/problem.ts";
import type { JobSpec } from "#model/job.ts";

const folder = join(import.meta.dirname, "..", "..", "examples", "jobs");
const files = readdirSync(folder);

function example(file: string): JobSpec {
  const parsed = parseJob(readFileSync(join(folder, file), "utf8"), { file });
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value;
}

test("there are examples", () => assert.ok(files.length >= 4, files.join()));

for (const file of files) {
  test(`${file} is a job, and the same one written down again`, () => {
    const job = example(file);
    assert.deepEqual(parseJob(formatJobYaml(job), { file: "again.yaml" }), { ok: true, value: job });
  });
}

test("the JSDL example is the YAML one, but for its pauses", () => {
  const { retry: _yaml, ...yaml } = jobDocument(example("count.yaml"));
  const { retry: _jsdl, ...jsdl } = jobDocument(example("count.jsdl"));
  assert.deepEqual(jsdl, yaml);
});
