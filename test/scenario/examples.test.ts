import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

const root = join(import.meta.dirname, "../..");
const files = globSync("examples/**/*.scenario.yaml", { cwd: root });
const simulate = async (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> => {
  const command = [join(root, "src/main/cli.ts"), "simulate", ...args];
  try {
    return {
      code: 0,
      ...(await promisify(execFile)(process.execPath, command, { cwd: root, maxBuffer: 1e9 })),
    };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
};

test("there are example scenarios", () => {
  assert.ok(files.length >= 3, files.join());
});

for (const file of files) {
  test(`${file} goes as it expects, and twice the same way`, async () => {
    const [one, two] = [await simulate(file, "--json"), await simulate(file, "--json")];
    assert.equal(one.code, 0, one.stdout + one.stderr);
    const result = JSON.parse(one.stdout) as { verdicts: unknown[]; traceHash: string; breach?: unknown };
    assert.ok(result.verdicts.length > 0);
    assert.equal(result.breach, undefined);
    assert.equal(two.stdout, one.stdout);
  });
}

test("an expectation that is not met is told with its moment, and the exit code says so", async () => {
  const { code, stdout } = await simulate("test/scenario/unmet.yaml", "--seeds", "3..4");
  assert.equal(code, 1, stdout);
  assert.match(stdout, /x 20s +expected: web on a2; but shop\/web is on a1/);
  assert.match(stdout, /again: consort simulate test\/scenario\/unmet.yaml --seed 4/);
  assert.match(stdout, /2 seeds, 2 not as expected/);
});

test("what cannot be played is refused with its place", async () => {
  const { code, stderr } = await simulate("examples/hello.yaml");
  assert.equal(code, 2);
  assert.match(stderr, /examples\/hello.yaml:\d+:\d+/);
});
