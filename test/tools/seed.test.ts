import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { projectRoot } from "../../tools/source.ts";

const program = `
  const { default: fc } = await import("fast-check");
  console.log(JSON.stringify({ drawn: fc.sample(fc.integer(), 5), seed: process.env.CONSORT_SEED }));
`;

function drawn(seed: string | undefined): string {
  const { CONSORT_SEED: _, ...others } = process.env;
  return execFileSync(
    process.execPath,
    ["--import", "./tools/seed.ts", "--input-type=module", "-e", program],
    {
      cwd: projectRoot,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...others, ...(seed === undefined ? {} : { CONSORT_SEED: seed }) },
    },
  );
}

test("tests draw the same in every run, unless told to explore, and the seed told then repeats it", () => {
  const usual = drawn(undefined);
  assert.equal(drawn(undefined), usual);
  const [said = "", explored = ""] = drawn("random").trim().split("\n");
  assert.notEqual(explored, usual.trim());
  assert.equal(drawn(said.replace("CONSORT_SEED=", "")).trim(), explored);
  assert.throws(() => drawn("by chance"), /CONSORT_SEED is "by chance"/);
});
