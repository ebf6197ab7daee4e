import assert from "node:assert/strict";
import { test } from "node:test";
import { systemSubprocess } from "./subprocess.ts";

const { signal } = new AbortController();
const subprocess = systemSubprocess();

test("a program that writes more than it may is ended, and told of as such", async () => {
  const tooMuch = subprocess.run("yes", [], signal, { outputBytesMax: 1000 });
  await assert.rejects(tooMuch, { code: "limit_exceeded", message: /yes: it wrote more than 1000 bytes/ });
  const enough = await subprocess.run("printf", ["12345"], signal, { outputBytesMax: 5 });
  assert.deepEqual([enough.code, enough.stdout], [0, "12345"]);
});
