import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readTar } from "#formats/planetlab-archive.ts";
import { parsePlanetlab, percentAt, planetlabSamples } from "#formats/planetlab.ts";

const folder = join(import.meta.dirname, "../../examples/planetlab");
const names = readdirSync(folder).filter((name) => !name.startsWith("README"));

test("every published trace of the excerpt is read: 288 percentages, named by its file", () => {
  assert.equal(names.length, 16);
  for (const name of names) {
    const parsed = parsePlanetlab(readFileSync(join(folder, name), "utf8"), `day/${name}`);
    assert.ok(parsed.ok, JSON.stringify(parsed));
    assert.equal(parsed.value.percents.length, planetlabSamples);
    assert.equal(parsed.value.name, name);
  }
});

test("a trace says which line is wrong", () => {
  const lines = Array.from({ length: planetlabSamples }, () => "7");
  const problem = (text: string) => {
    const parsed = parsePlanetlab(text, "t");
    return parsed.ok ? undefined : parsed.problems[0];
  };
  assert.equal(problem(`${lines.join("\n")}\n`), undefined);
  assert.equal(problem(lines.with(9, "101").join("\n"))?.line, 10);
  assert.equal(problem(lines.with(3, "1.5").join("\n"))?.line, 4);
  assert.equal(problem(lines.with(3, "").join("\n"))?.line, 4);
  assert.match(problem(lines.slice(1).join("\n"))?.message ?? "", /expected 288 lines, not 287/);
});

test("a sample holds until the next, and the day begins again", () => {
  const trace = { percents: [10, 20, 30] };
  assert.deepEqual(
    [0, 299_999, 300_000, 600_000, 900_000].map((at) => percentAt(trace, at)),
    [10, 10, 20, 30, 10],
  );
});

test("an archive of tar gives the files tar would, also with long names", () => {
  const archive = execFileSync("tar", ["-c", "-C", join(folder, ".."), "planetlab"]);
  const files = readTar(archive);
  assert.deepEqual(
    files.map((file) => file.path).sort(),
    ["README.md", ...names].map((name) => `planetlab/${name}`).sort(),
  );
  for (const { path, content } of files)
    assert.deepEqual(Buffer.from(content), readFileSync(join(folder, "..", path)));
});

test("what is no archive, or is cut off, is refused", () => {
  const archive = execFileSync("tar", ["-c", "-C", join(folder, ".."), "planetlab"]);
  assert.throws(() => readTar(new Uint8Array(1024).fill(65)), RangeError);
  assert.throws(() => readTar(archive.subarray(0, 1800)), /cut off/);
});
