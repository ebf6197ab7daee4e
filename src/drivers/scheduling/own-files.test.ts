import assert from "node:assert/strict";
import { chmodSync, closeSync, linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { makeOwnDirectory, openOwnFile } from "./own-files.ts";

const place = mkdtempSync(join(tmpdir(), "consort-test-own-files-"));
let count = 0;
let here = "";

beforeEach(() => {
  count += 1;
  here = join(place, String(count));
  mkdirSync(here, 0o700);
});
after(() => rmSync(place, { recursive: true, force: true }));

test("a file is made for us alone, and opened again", () => {
  const file = join(here, "table");
  closeSync(openOwnFile(file));
  closeSync(openOwnFile(file));
});

test("a link to another file, however made, and a file that others may read are refused and left as they are", () => {
  const secret = join(here, "secret");
  writeFileSync(secret, "kept", { mode: 0o600 });
  symlinkSync(secret, join(here, "symbolic"));
  assert.throws(() => openOwnFile(join(here, "symbolic")), /Cannot use .*symbolic/);
  linkSync(secret, join(here, "hard"));
  assert.throws(() => openOwnFile(join(here, "hard")), /2 names/);
  const open = join(here, "open");
  writeFileSync(open, "");
  chmodSync(open, 0o666);
  assert.throws(() => openOwnFile(open), /mode 666/);
  assert.equal(readFileSync(secret, "utf8"), "kept");
});

test("a directory is made with those above it, and refused where others may write or it is a link", () => {
  makeOwnDirectory(join(here, "run/table"));
  makeOwnDirectory(join(here, "run/table"));
  mkdirSync(join(here, "loose"));
  chmodSync(join(here, "loose"), 0o777);
  assert.throws(() => makeOwnDirectory(join(here, "loose")), /mode 777/);
  assert.throws(() => makeOwnDirectory(join(here, "loose/table")), /Cannot use .*loose/);
  symlinkSync(join(here, "run/table"), join(here, "link"));
  assert.throws(() => makeOwnDirectory(join(here, "link")), /Cannot use .*link/);
});
