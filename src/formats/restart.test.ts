import assert from "node:assert/strict";
import { test } from "node:test";
import { ensembleDocument, parseEnsemble } from "#formats/ensemble.ts";
import { formatProblem } from "#formats/problem.ts";
import type { ApplianceSpec } from "#model/ensemble.ts";

const parse = (restart: string) =>
  parseEnsemble(`ensemble: s\nappliances:\n  web:\n    command: x\n    ${restart}\n`, { file: "e.yaml" });

function read(restart: string): ApplianceSpec {
  const parsed = parse(restart);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map(formatProblem).join("\n"));
  return parsed.value.appliances[0] ?? assert.fail();
}

function refusal(restart: string): string {
  const parsed = parse(restart);
  assert.ok(!parsed.ok, restart);
  return parsed.problems.map(formatProblem).join("\n");
}

const meanings = [
  ["stopGrace: 5s", "always", "elsewhere", undefined],
  ["restart: elsewhere", "always", "elsewhere", undefined],
  ["restart: always", "always", "elsewhere", undefined],
  ["restart: in-place", "always", "in-place", "in-place"],
  ["restart: on-failure", "on-failure", "elsewhere", "on-failure"],
  ["restart: never", "never", "in-place", "never"],
  ["restart: {onHostLoss: in-place}", "always", "in-place", "in-place"],
  ["restart: {when: on-failure}", "on-failure", "elsewhere", "on-failure"],
  ["restart: {when: never}", "never", "in-place", "never"],
  [
    "restart: {when: on-failure, onHostLoss: in-place}",
    "on-failure",
    "in-place",
    { when: "on-failure", onHostLoss: "in-place" },
  ],
  [
    "restart: {when: never, onHostLoss: elsewhere}",
    "never",
    "elsewhere",
    { when: "never", onHostLoss: "elsewhere" },
  ],
] as const;

for (const [written, when, onHostLoss, exported] of meanings) {
  test(`"${written}" means ${when} after an end and ${onHostLoss} after a loss, and is exported shortest`, () => {
    const spec = read(written);
    assert.equal(spec.restart.when, when);
    assert.equal(spec.onHostLoss, onHostLoss);
    const parsed = parse(written);
    assert.ok(parsed.ok);
    assert.deepEqual(ensembleDocument(parsed.value).appliances["web"]?.restart, exported);
  });
}

test("a pause of its own keeps the policy for lost hosts, both ways", () => {
  const spec = read("restart: {onHostLoss: in-place, backoff: 2s}");
  assert.deepEqual(spec.restart, { when: "always", backoffMsMin: 2_000, backoffMsMax: 30_000 });
  assert.equal(spec.onHostLoss, "in-place");
  const parsed = parse("restart: {onHostLoss: in-place, backoff: 2s}");
  assert.ok(parsed.ok);
  assert.deepEqual(ensembleDocument(parsed.value).appliances["web"]?.restart, {
    when: "always",
    onHostLoss: "in-place",
    backoff: { min: "2s", max: "30s" },
  });
});

const refusals: readonly (readonly [string, RegExp])[] = [
  [
    "restart: elsewere",
    /^e\.yaml:5:14 appliances\.web\.restart: expected elsewhere, in-place, always, on-failure or never, or \{when, onHostLoss, backoff\}, not "elsewere"; did you mean "elsewhere"\?$/,
  ],
  ["restart: inplace", /did you mean "in-place"\?$/],
  ["restart: OnFailure", /did you mean "on-failure"\?$/],
  ["restart: unless-stopped", /did you mean "always"\?$/],
  ["restart: no", /did you mean "never"\?$/],
  ["restart: {onHostLoss: elswhere}", /restart\.onHostLoss: .*did you mean "elsewhere"\?$/],
  ["restart: {onHostLost: elsewhere}", /restart\.onHostLost: .*did you mean "onHostLoss"\?$/],
  ["restart: {when: elsewhere}", /restart\.when: expected one of always, on-failure, never, not "elsewhere"/],
  ["onHostLoss: in-place", /appliances\.web\.onHostLoss: .*did you mean "restart"\?$/],
  ["restart: 3", /restart: expected elsewhere, .*, not 3$/],
];

for (const [written, expected] of refusals) {
  test(`"${written}" is refused with what was meant`, () => assert.match(refusal(written), expected));
}
