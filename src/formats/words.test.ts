import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { splitWords } from "#formats/words.ts";

const cases: Readonly<Record<string, readonly string[]>> = {
  "sleep infinity": ["sleep", "infinity"],
  "nginx -g 'daemon off;'": ["nginx", "-g", "daemon off;"],
  [String.raw`echo "a \"b\" \n" c\ d`]: ["echo", String.raw`a "b" \n`, "c d"],
  "a''b ''": ["ab", ""],
  "  \n ": [],
};

for (const [text, words] of Object.entries(cases)) {
  test(`${JSON.stringify(text)} has ${words.length} words`, () =>
    assert.deepEqual(splitWords(text), { ok: true, words }));
}

test("an open quote is refused", () => {
  assert.deepEqual(splitWords("echo 'a"), { ok: false, message: "the ' at character 6 is never closed" });
});

test("what only a shell would understand is refused with how to have a shell", () => {
  const split = splitWords("a | b");
  assert.ok(!split.ok);
  assert.equal(split.suggestion, 'write [sh, -c, "a | b"], or quote it');
});

test("quoted words come back whole", () => {
  const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      assert.deepEqual(splitWords(words.map(quote).join(" ")), { ok: true, words });
    }),
  );
});
