import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { Subprocess } from "#drivers/system/port.ts";
import { knownPackages } from "./known-packages.ts";

const { signal } = new AbortController();
let cache = "";
let asked: string[] = [];
const apt: Subprocess = {
  run: () => Promise.reject(new Error("not called")),
  check: (file, args) => {
    asked.push(file);
    if (file === "apt-cache") return Promise.resolve("  Depends: linux-image-6.1.0-9-cloud-amd64\n");
    const names = args.filter((word) => !word.startsWith("-") && word !== "download");
    return Promise.resolve(
      names.map((name) => `'http://x/${name}' ${name}_1_amd64.deb 1 SHA256:${"a".repeat(64)}\n`).join(""),
    );
  },
};

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "consort-test-known-"));
  asked = [];
});
afterEach(() => rm(cache, { recursive: true }));

test("apt is asked once for the same wish", async () => {
  const wish = { kernel: "linux-image-cloud-amd64", names: ["busybox-static"] };
  const first = await knownPackages(cache, wish, apt, signal);
  const again = await knownPackages(cache, wish, apt, signal);
  assert.deepEqual(
    first.map(({ name }) => name),
    ["linux-image-6.1.0-9-cloud-amd64", "busybox-static"],
  );
  assert.deepEqual(again, first);
  assert.deepEqual(asked, ["apt-cache", "apt-get"]);
});

test("another wish is another question", async () => {
  await knownPackages(cache, { names: ["a1"] }, apt, signal);
  const [found] = await knownPackages(cache, { names: ["b1"] }, apt, signal);
  assert.equal(found?.name, "b1");
});

test("an answer that was damaged is asked for again", async () => {
  await knownPackages(cache, { names: ["a1"] }, apt, signal);
  const [file = ""] = await readdir(join(cache, "lookups"));
  await writeFile(join(cache, "lookups", file), "[{");
  const [found] = await knownPackages(cache, { names: ["a1"] }, apt, signal);
  assert.equal(found?.name, "a1");
  assert.equal(asked.length, 2);
});
