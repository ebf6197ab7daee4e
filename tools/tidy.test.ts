import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { errorTable } from "#base/errors.ts";
import { limits } from "#base/limits.ts";
import { apiLimits } from "#api/limits.ts";
import { readingLimits } from "#control/monitor/readings.ts";
import { schedulingLimits } from "#control/scheduling/limits.ts";
import { roomLimits } from "#drivers/appliance/qemu/room/limits.ts";
import { warmLimits } from "#drivers/appliance/qemu/warm/limits.ts";
import { blobLimits } from "#drivers/blob/limits.ts";
import { imageLimits } from "#drivers/image/limits.ts";
import { contextLimits } from "#drivers/guest/context/limits.ts";
import { layerLimits } from "#drivers/image/layers/limits.ts";
import { networkLimits } from "#drivers/network/limits.ts";
import { messagingLimits } from "#drivers/messaging/limits.ts";
import { transferLimits } from "#drivers/transfer/limits.ts";
import { storeLimits } from "#drivers/store/limits.ts";
import { formatLimits } from "#formats/limits.ts";
import { bannedFolders, bannedWords, bans } from "./banned.ts";
import { arrowProblem, isTest, isTestSupport, layerOf, resolveImport } from "./layers.ts";
import {
  anchorsOf,
  filesBelow,
  functionsOf,
  importsOf,
  lineAt,
  linksIn,
  mask,
  projectRoot,
  readProjectFile,
} from "./source.ts";

/** Conventions as tests. A check that sees no files proves nothing, so each says how many it must have seen. */

const sources = ["src", "test", "bench", "tools"].flatMap(filesBelow).filter((path) => path.endsWith(".ts"));
const shipped = sources.filter((path) => layerOf(path) !== undefined && !isTest(path));
const pages = filesBelow(".").filter((path) => path.endsWith(".md"));
/** These name what they ban. */
const speaksOfBans: ReadonlySet<string> = new Set([
  "tools/banned.ts",
  "tools/tidy.test.ts",
  "test/tools/tidy.test.ts",
]);

/** It, or anything it imports, uses what the machine offers. */
function touchesMachine(path: string, seen: Set<string> = new Set()): boolean {
  if (seen.has(path)) return false;
  seen.add(path);
  return importsOf(readProjectFile(path)).some((target) => {
    if (target.startsWith("node:")) return true;
    const next = resolveImport(path, target);
    return next !== undefined && touchesMachine(next, seen);
  });
}

function noProblems(problems: readonly string[]): void {
  assert.equal(problems.length, 0, `\n  ${problems.join("\n  ")}`);
}

test("the checks see the project's files", () => {
  assert.ok(shipped.length >= 60, `only ${shipped.length} source files`);
  assert.ok(sources.filter(isTest).length >= 15, "too few test files");
  assert.ok(pages.length >= 15, `only ${pages.length} pages`);
  for (const layer of [
    "base",
    "model",
    "planner",
    "protocol",
    "formats",
    "drivers",
    "host",
    "cluster",
    "cli",
  ])
    assert.ok(
      shipped.some((path) => layerOf(path) === layer),
      `no file seen in src/${layer}`,
    );
});

test("imports point down, pure layers import no node:*, only main chooses implementations", () => {
  let seen = 0;
  const problems = sources.flatMap((path) =>
    importsOf(readProjectFile(path)).flatMap((target) => {
      seen += 1;
      const problem = arrowProblem(path, target, touchesMachine);
      return problem === undefined ? [] : [`${path}: ${target}: ${problem}`];
    }),
  );
  noProblems(problems);
  assert.ok(seen >= 200, `only ${seen} imports seen`);
});

test("files are small: median 120 lines, nine of ten 400, none over 600", () => {
  const sizes = shipped
    .map((path) => ({ path, lines: readProjectFile(path).split("\n").length - 1 }))
    .sort((a, b) => a.lines - b.lines);
  noProblems(
    sizes.filter((file) => file.lines > 600).map((file) => `${file.path}: ${file.lines} lines, 600 at most`),
  );
  const median = sizes[Math.floor(sizes.length / 2)];
  const ninth = sizes[Math.floor(sizes.length * 0.9)];
  assert.ok(median !== undefined && median.lines <= 120, `the median file has ${median?.lines} lines`);
  assert.ok(ninth !== undefined && ninth.lines <= 400, `${ninth?.path} has ${ninth?.lines} lines`);
});

test("functions have at most 70 lines", () => {
  // A conformance suite is a list of tests in a function.
  const measured = shipped.filter((path) => !isTestSupport(path));
  const functions = measured.flatMap((path) =>
    functionsOf(readProjectFile(path)).map((found) => ({ path, ...found })),
  );
  assert.ok(functions.length >= 100, `only ${functions.length} functions seen`);
  noProblems(
    functions
      .filter((found) => found.lines > 70)
      .map((found) => `${found.path}:${found.line}: ${found.lines} lines: ${found.head}`),
  );
});

test("nothing banned is called; the message names what to use instead", () => {
  const problems = sources
    .filter((path) => !speaksOfBans.has(path))
    .flatMap((path) => {
      const source = readProjectFile(path);
      const code = mask(source, "blank");
      // The module a name comes from is a string: imports are judged with strings.
      const withStrings = mask(source, "keep");
      const found = (text: string, list: typeof bans): string[] =>
        list
          .filter((ban) => ban.where(path))
          .flatMap((ban) => {
            const match = ban.pattern.exec(text);
            if (match === null) return [];
            return [`${path}:${lineAt(text, match.index)}: ${match[0]}: instead: ${ban.instead}`];
          });
      const fromStrings = bans.filter((ban) => ban.pattern.source.includes("node:"));
      return [...found(code, bans), ...found(withStrings, fromStrings), ...found(source, bannedWords)];
    });
  noProblems(problems);
});

test("no folder is named for nothing in particular", () => {
  noProblems(sources.filter((path) => path.split("/").some((part) => bannedFolders.has(part))));
});

test("links in the pages lead somewhere", () => {
  let seen = 0;
  const problems = pages.flatMap((page) =>
    linksIn(readProjectFile(page)).flatMap((link) => {
      if (/^[a-z]+:/.test(link)) return [];
      seen += 1;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? page : join(dirname(page), path);
      if (!existsSync(join(projectRoot, target))) return [`${page}: ${link}: no such file`];
      if (anchor === undefined || !target.endsWith(".md")) return [];
      return anchorsOf(readProjectFile(target)).has(anchor) ? [] : [`${page}: ${link}: no such heading`];
    }),
  );
  noProblems(problems);
  assert.ok(seen >= 20, `only ${seen} links seen`);
});

test("the changelog keeps its form", () => {
  const lines = readProjectFile("CHANGELOG.md").split("\n");
  const releases = lines.filter((line) => line.startsWith("## "));
  assert.equal(lines[0], "# Changelog");
  assert.equal(releases[0], "## [Unreleased]");
  noProblems([
    ...releases.slice(1).filter((line) => !/^## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d$/.test(line)),
    ...lines.filter(
      (line) =>
        line.startsWith("### ") && !/^### (?:Added|Changed|Deprecated|Removed|Fixed|Security)$/.test(line),
    ),
    ...lines.filter((line) => line.startsWith("* ")).map((line) => `write "- ": ${line}`),
  ]);
});

test("docs/reference/errors.md lists the error table, all of it and nothing else", () => {
  const page = readProjectFile("docs/reference/errors.md");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| (\d) \| (.+?) \|$/gm)];
  const documented = rows.map(([, code, http, exit, about]) => `${code} ${http} ${exit} ${about}`);
  const actual = Object.entries(errorTable).map(
    ([code, { http, exit, about }]) => `${code} ${http} ${exit} ${about}`,
  );
  assert.deepEqual(documented.sort(), actual.sort());
});

test("every npm package we depend on has its reason in docs/dependencies.md", () => {
  const manifest = JSON.parse(readProjectFile("package.json")) as Record<string, Record<string, string>>;
  const names = Object.keys({
    ...manifest["dependencies"],
    ...manifest["devDependencies"],
    ...manifest["optionalDependencies"],
  });
  assert.ok(names.length >= 5);
  const reasons = new Set(
    [...readProjectFile("docs/dependencies.md").matchAll(/^\| `([^`]+)` \| \S.+ \|$/gm)].map((row) => row[1]),
  );
  noProblems(names.filter((name) => !reasons.has(name)).map((name) => `${name}: no reason given`));
  noProblems([...reasons].filter((name) => !names.includes(name ?? "")).map((name) => `${name}: not used`));
});

test("design records are numbered without gaps and state their status", () => {
  const records = filesBelow("docs/designs").filter((path) => /\/\d{4}-[a-z0-9-]+\.md$/.test(path));
  assert.ok(records.length >= 6);
  noProblems(
    records.flatMap((path, index) => {
      const number = String(index + 1).padStart(4, "0");
      const problems = path.startsWith(`docs/designs/${number}-`)
        ? []
        : [`${path}: number ${number} expected`];
      if (/^Status: (?:proposed|accepted|superseded by \d{4})$/m.test(readProjectFile(path))) return problems;
      return [...problems, `${path}: no line "Status: proposed|accepted|superseded by NNNN"`];
    }),
  );
});

test("every promise in SPECIFICATION.md is bound to a test or benchmark, or says that it is pending", () => {
  const rows = readProjectFile("SPECIFICATION.md")
    .split("\n")
    .filter((line) => /^\| [A-Z]+\d+ \|/.test(line));
  assert.ok(rows.length >= 10, `only ${rows.length} promises seen`);
  noProblems(
    rows.filter((row) => !/\]\((?:test|bench|src|tools)\/[^)]+\) \|$|\[test pending\] \|$/.test(row)),
  );
});

test("docs/reference/limits.md names every limit and nothing else", () => {
  const named = [
    ...readProjectFile("docs/reference/limits.md").matchAll(/^\| `(\w+)` \| \S.* \| \S.* \|$/gm),
  ];
  assert.deepEqual(
    named.map((row) => row[1] ?? "").sort(),
    [
      limits,
      formatLimits,
      storeLimits,
      networkLimits,
      blobLimits,
      roomLimits,
      warmLimits,
      imageLimits,
      contextLimits,
      layerLimits,
      transferLimits,
      messagingLimits,
      apiLimits,
      schedulingLimits,
      readingLimits,
    ]
      .flatMap(Object.keys)
      .sort(),
  );
});
