import assert from "node:assert/strict";
import { test } from "node:test";
import { bans } from "../../tools/banned.ts";
import { arrowProblem } from "../../tools/layers.ts";
import { anchorsOf, functionsOf, importsOf, linksIn, mask } from "../../tools/source.ts";

test("mask() blanks comments, and the insides of strings, templates and regular expressions when told", () => {
  const source = 'const a = "x // y"; // Date.now\nconst b = `p${Date.now()}q`; /* r */ const c = /"/g;';
  const kept = mask(source, "keep");
  assert.equal(kept.length, source.length);
  assert.match(kept, /"x \/\/ y"/);
  assert.doesNotMatch(kept.split("\n")[0] ?? "", /Date/);
  const blank = mask(source, "blank");
  assert.doesNotMatch(blank, /x|p|q|r \*/);
  assert.match(blank, /Date\.now\(\)/);
  assert.match(blank, /const c =/);
});

test("importsOf() finds types, several lines, re-exports and dynamic imports, not comments", () => {
  const source = [
    'import type { A } from "#base/a.ts";',
    'import {\n  b,\n} from "./b.ts";',
    'export { c } from "node:fs";',
    '// import { d } from "d";',
    'const e = await import("#cli/e.ts");',
  ].join("\n");
  assert.deepEqual(importsOf(source).sort(), ["#base/a.ts", "#cli/e.ts", "./b.ts", "node:fs"]);
});

test("functionsOf() measures functions and methods over signatures of several lines", () => {
  const source = [
    "export async function long(",
    "  a: number,",
    "): Promise<void> {",
    "  if (a) {",
    "  }",
    "}",
    "class B {",
    "  run(): void {",
    "  }",
    "}",
    "const c = () => {",
    "};",
  ].join("\n");
  assert.deepEqual(
    functionsOf(source).map(({ line, lines }) => [line, lines]),
    [
      [1, 6],
      [8, 2],
      [11, 2],
    ],
  );
});

test("arrowProblem() refuses what points up, what does I/O in a pure layer, and implementations below main", () => {
  const problem = (from: string, target: string): string | undefined =>
    arrowProblem(from, target, (path) => path.includes("real"));
  assert.equal(problem("src/planner/a.ts", "#model/b.ts"), undefined);
  assert.match(problem("src/model/a.ts", "#planner/b.ts") ?? "", /point down only/);
  assert.equal(problem("src/planner/a.ts", "#control/b.ts"), undefined);
  assert.match(problem("src/control/a.ts", "#planner/b.ts") ?? "", /point down only/);
  assert.match(problem("src/formats/a.ts", "node:fs") ?? "", /is pure/);
  assert.equal(problem("src/formats/a.test.ts", "node:fs"), undefined);
  assert.equal(problem("src/host/a.ts", "#drivers/store/port.ts"), undefined);
  assert.match(problem("src/host/a.ts", "#drivers/store/embedded.ts") ?? "", /choose implementations/);
  assert.equal(problem("src/main/a.ts", "#drivers/store/embedded.ts"), undefined);
  assert.match(problem("src/cli/a.ts", "../lab/b.ts") ?? "", /write "#lab\/b\.ts"/);
  assert.match(problem("src/utils/a.ts", "#base/b.ts") ?? "", /no layer/);
});

test("arrowProblem() lets a simulation use what of the drivers touches no machine, and nothing else", () => {
  const problem = (from: string, target: string): string | undefined =>
    arrowProblem(from, target, (path) => path.includes("real"));
  assert.equal(problem("src/sim/a.ts", "#drivers/store/fake.ts"), undefined);
  assert.match(problem("src/sim/a.ts", "#drivers/store/real.ts") ?? "", /has no machine/);
  assert.match(problem("src/host/a.ts", "#drivers/store/fake.ts") ?? "", /choose implementations/);
  assert.equal(problem("src/sim/a.ts", "#cluster/manager.ts"), undefined);
  assert.equal(problem("src/cli/a.ts", "#sim/b.ts"), undefined);
  assert.match(problem("src/sim/a.ts", "#cli/b.ts") ?? "", /not below/);
});

test("arrowProblem() keeps managers from what would escape virtual time", () => {
  const problem = (from: string, target: string): string | undefined =>
    arrowProblem(from, target, () => false);
  assert.match(problem("src/host/a.ts", "node:fs/promises") ?? "", /virtual time/);
  assert.match(problem("src/cluster/a.ts", "node:timers/promises") ?? "", /virtual time/);
  assert.equal(problem("src/cluster/a.ts", "node:util"), undefined);
  assert.equal(problem("src/cluster/a.test.ts", "node:test"), undefined);
});

test("the bans catch what they name and leave alike names alone", () => {
  const caught = (text: string): string[] =>
    bans.filter((ban) => ban.pattern.test(text)).map((ban) => ban.pattern.source);
  for (const text of [
    "Date.now()",
    "Math.random()",
    "setTimeout(f, 1)",
    "setImmediate(f)",
    "process.nextTick(f)",
    'import { exec } from "node:child_process";',
    "{ shell: true }",
    "x as any",
    "test.only(",
    "it.skip(",
  ])
    assert.equal(caught(text).length, 1, text);
  for (const text of ["clock.now()", "pattern.exec(text)", "list.skip(2)", "has as anything", "onlyOne("])
    assert.deepEqual(caught(text), [], text);
});

test("anchorsOf() and linksIn() read Markdown as GitHub does, code left out", () => {
  const page = "# The `up` command\n\n[a](b.md#c) ![p](d.svg)\n\n```\n[no](no.md)\n# no\n```\n`[x](y)`\n";
  assert.deepEqual([...anchorsOf(page)], ["the-up-command"]);
  assert.deepEqual(linksIn(page), ["b.md#c", "d.svg"]);
});
