import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { seededRandom } from "#base/seeded-random.ts";
import { readToken, tokenCheck } from "#api/token.ts";

describe("readToken()", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "consort-token-"));
    path = join(directory, "kept", "token");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("makes a token of 256 bits for its owner's eyes, and gives the same one ever after", async () => {
    const token = await readToken(path, seededRandom(1));
    assert.match(token, /^[0-9a-f]{64}$/);
    assert.equal(readFileSync(path, "utf8"), `${token}\n`);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(await readToken(path, seededRandom(2)), token);
    assert.deepEqual(readdirSync(join(directory, "kept")), ["token"]);
  });

  it("gives all who begin at once the same token", async () => {
    const tokens = await Promise.all([1, 2, 3, 4].map((seed) => readToken(path, seededRandom(seed))));
    assert.equal(new Set(tokens).size, 1);
  });

  it("refuses a file that others may read, and one without a real token", async () => {
    await readToken(path, seededRandom(1));
    chmodSync(path, 0o640);
    await assert.rejects(readToken(path, seededRandom(1)), { code: "forbidden" });
    chmodSync(path, 0o600);
    for (const content of ["", "short", "two words of sufficient length in all"]) {
      writeFileSync(path, content);
      await assert.rejects(readToken(path, seededRandom(1)), { code: "bad_input" });
    }
  });
});

describe("tokenCheck()", () => {
  it("takes the bearer form of just that token", () => {
    const isToken = tokenCheck("t0ken");
    assert.ok(isToken("Bearer t0ken"));
    assert.ok(isToken("bearer  t0ken"));
    for (const header of [undefined, "", "t0ken", "Bearer t0ke", "Bearer t0ken t0ken", "Basic t0ken"]) {
      assert.ok(!isToken(header), header);
    }
  });
});
