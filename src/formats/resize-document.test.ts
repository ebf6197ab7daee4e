import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblem } from "#formats/problem.ts";
import { parseResize } from "#formats/resize-document.ts";

const problemsOf = (value: unknown): string[] => {
  const parsed = parseResize(value);
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};

test("sizes and moves are read in the words of ensemble files", () => {
  const parsed = parseResize({
    sizes: { web: { cpu: { period: "40ms", share: "50%" }, memory: "1MiB", out: "2Mbit/s", in: "1Mbit/s" } },
    moves: ["move 8ms from db to web", "move 1Mbit/s from db to web"],
  });
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.sizes.get("web"), {
    cpu: { kind: "reservation", periodUs: 40_000, executionUs: 20_000 },
    memoryBytes: 1_048_576,
    outBps: 2e6,
    inBps: 1e6,
  });
  assert.deepEqual(
    parsed.value.moves.map(({ kind }) => kind),
    ["move-cpu", "move-bandwidth"],
  );
});

test("what is wrong is said with its path", () => {
  assert.deepEqual(problemsOf({ sizes: { web: { memory: "512" } } }), [
    'request sizes.web.memory: expected a size such as 512MiB or 1GB, not "512"; write 512MiB (or 512B)',
  ]);
  assert.deepEqual(problemsOf({ moves: ["suspend web"] }), [
    'request moves[0]: no move: "suspend web"; write move 8ms from a to b',
  ]);
  assert.match(problemsOf({ size: {} })[0] ?? "", /"size" is not known here; did you mean "sizes"\?/);
});
