import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { newPlace, removeAbandonedPlaces } from "./abandoned-places.ts";

const directory = mkdtempSync(join(tmpdir(), "consort-test-places-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("what a killed doctor left goes, and nothing of one that runs or of anybody else", () => {
  const [dead, alive] = [newPlace(directory, 7), newPlace(directory, 8)];
  writeFileSync(join(dead, "boot.img"), "x");
  mkdirSync(join(directory, "consort-doctor-7-not-ours"));
  const isRunning = (pid: number): boolean => pid === 8;
  removeAbandonedPlaces([directory], isRunning, -1);
  assert.equal(readdirSync(directory).length, 3, "another user's stay");
  removeAbandonedPlaces([directory, join(directory, "none")], isRunning);
  const left = [alive.slice(directory.length + 1), "consort-doctor-7-not-ours"];
  assert.deepEqual(readdirSync(directory).sort(), left.sort());
});
