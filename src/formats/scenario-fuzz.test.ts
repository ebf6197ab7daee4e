import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { readTar } from "#formats/planetlab-archive.ts";
import { parsePlanetlab } from "#formats/planetlab.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Parsed } from "#formats/problem.ts";
import { parseScenario } from "#formats/scenario.ts";

/** Whatever it is, it is either read or refused in lines fit for a terminal: no throw, no stack trace. */
function sane(parsed: Parsed<unknown>): void {
  if (parsed.ok) return;
  assert.ok(parsed.problems.length > 0 && parsed.problems.length <= 50);
  for (const problem of parsed.problems) {
    const line = formatProblem(problem);
    assert.doesNotMatch(line, /\p{Cc}|\bat \w+.*\.ts:\d|undefined|\[object|Invalid input/u, line);
  }
}

const example = readFileSync(
  join(import.meta.dirname, "../../examples/five-tasks/five-tasks.scenario.yaml"),
  "utf8",
);
const fragments =
  "steps:|  - at: 1s|up: x|up: {}|crash: host/a|for: 1s|cut: {from: a}|noise: {lost: 2}|clockSkew: {place: a, jump: x}|load:|- {ensemble: x, rate: 0/s}|demand:|- {of: a}|constant: -1|steps: [[1s]]|synthetic: {}|synthetic:|sine: {}|cloud:|{hosts: 0}|{hosts: []}|{topology: {}}|{topology: {sites: {}}}|expect: a|expect: []|{|}|[|]|: |- |\n|\n  |&x|*x|~|1e999|.nan|null|policy:|report: [x]|cancel: 5|note: \u0007".split(
    "|",
  );

test("pieces of scenarios in any order are refused in words", () => {
  const mixture = fc.array(fc.constantFrom(...fragments), { maxLength: 25 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(mixture, (text) => {
      sane(parseScenario(text, { file: "s.yaml" }));
      sane(parseScenario(`scenario: s\nduration: 1m\n${text}`, { file: "s.yaml" }));
    }),
    { numRuns: 500 },
  );
});

test("a scenario with a piece cut or overwritten never crashes the reader", () => {
  const mutated = fc
    .tuple(fc.nat(), fc.nat(60), fc.constantFrom("", ...fragments))
    .map(([at, length, insert]) => {
      const from = at % example.length;
      return example.slice(0, from) + insert + example.slice(from + length);
    });
  fc.assert(
    fc.property(mutated, (text) => sane(parseScenario(text, { file: "s.yaml" }))),
    { numRuns: 300 },
  );
});

test("what is no trace and no archive is refused in words", () => {
  fc.assert(
    fc.property(fc.string(), (text) => sane(parsePlanetlab(text, "t"))),
    { numRuns: 200 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => {
      try {
        readTar(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});
