import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ensembles } from "#formats/ensemble.arbitrary.ts";
import { formatEnsembleYaml, parseEnsemble, parseEnsembleDocument } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { Parsed } from "#formats/problem.ts";
import { parseTopology } from "#formats/topology.ts";

/** Whatever it is, it is either read or refused in lines fit for a terminal: no throw, no stack trace. */
function sane(parsed: Parsed<unknown>): void {
  if (parsed.ok) return;
  assert.ok(parsed.problems.length > 0 && parsed.problems.length <= 50);
  for (const problem of parsed.problems) {
    const line = formatProblem(problem);
    assert.ok(problem.message.length > 0 && line.length < 1500, line);
    assert.doesNotMatch(line, /\p{Cc}|\bat \w+.*\.ts:\d|undefined|\[object|Invalid input/u, line);
  }
}

function everyFormat(text: string): void {
  for (const format of ["yaml", "json", "xml"] as const) sane(parseEnsemble(text, { file: "f", format }));
  sane(parseTopology(text, { file: "t.yaml" }));
}

test("random bytes are refused in words", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string(), fc.uint8Array()), (input) => {
      everyFormat(typeof input === "string" ? input : new TextDecoder().decode(input));
    }),
    { numRuns: 300 },
  );
});

const fragments = [
  ..."ensemble: shop|appliances:|  web: {command: a}|networks:|links:|  - between: [web, db]|placement:|- a|&x|*x|<<: *x".split(
    "|",
  ),
  ..."{|}|[|]|\"|'|: |,|? |- |#|\n|\n  |\n    |\t|!!binary |!t |%YAML 1.2|---|...|~|0x1f|1e999|.nan|.inf|__proto__: 1|>-|\u0085".split(
    "|",
  ),
  ..."<ensemble name='a'>|</ensemble>|<link |from='a' |/>|<![CDATA[|]]>|&amp;|&#0;|<!--|<?x?>|<!DOCTYPE a>".split(
    "|",
  ),
];

test("fragments of our formats in any order are refused in words", () => {
  const mixture = fc.array(fc.constantFrom(...fragments), { maxLength: 30 }).map((parts) => parts.join(""));
  fc.assert(fc.property(mixture, everyFormat), { numRuns: 600 });
});

test("a valid document with a piece cut, doubled or overwritten never crashes a reader", () => {
  const mutated = fc
    .tuple(ensembles, fc.nat(), fc.nat(40), fc.constantFrom("", ...fragments))
    .map(([ensemble, at, length, insert]) => {
      const yaml = formatEnsembleYaml(ensemble);
      const from = at % yaml.length;
      return yaml.slice(0, from) + insert + yaml.slice(from + length);
    });
  fc.assert(fc.property(mutated, everyFormat), { numRuns: 200 });
});

test("any JSON value sent to the API is refused in words", () => {
  const keys = fc.constantFrom(
    "ensemble",
    "appliances",
    "web",
    "networks",
    "links",
    "placement",
    "command",
    "cpu",
    "files",
    "/a",
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 5 },
      fc.jsonValue({ maxDepth: 2 }),
      fc.dictionary(keys, tie("value"), { maxKeys: 5 }),
      fc.array(tie("value"), { maxLength: 3 }),
    ),
  }));
  const shaped = fc.record({
    ensemble: value,
    appliances: fc.dictionary(keys, value),
    links: fc.array(value),
  });
  fc.assert(
    fc.property(fc.oneof(value, shaped), (input) => sane(parseEnsembleDocument(input, "request"))),
    { numRuns: 500 },
  );
});

test("hostile sizes are refused without taking their toll", () => {
  const bomb = [
    "a: &a [x,x,x,x,x,x,x,x,x]",
    ..."bcdefghijk".split("").map((name, index) => {
      const before = "abcdefghij".charAt(index);
      return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(",")}]`;
    }),
  ].join("\n");
  for (const text of [
    bomb,
    "[".repeat(1_000_000),
    "- ".repeat(500_000),
    "{a: ".repeat(300_000),
    "a: &a [*a]",
  ]) {
    const parsed = parseEnsemble(text, { file: "e.yaml" });
    assert.ok(!parsed.ok);
    assert.match(parsed.problems[0]?.message ?? "", /aliases|deep|contains itself/);
  }
  const long = parseEnsemble("#".repeat(5 * 2 ** 20), { file: "e.yaml" });
  assert.ok(!long.ok && /larger than 4 MiB/.test(long.problems[0]?.message ?? ""));
});
