import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { systemSubprocess } from "#drivers/system/subprocess.ts";
import { blobOf, buildOnce } from "./built-guest.ts";
import type { GuestBuild } from "./built-guest.ts";

const { signal } = new AbortController();
let cache = "";
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "consort-test-built-"));
});
afterEach(() => rm(cache, { recursive: true }));

function build(inputs: string, counted: { times: number }, fail = false): GuestBuild {
  return {
    kind: "tiny",
    inputs: inputs.padEnd(64, "0"),
    async make(directory) {
      counted.times += 1;
      await writeFile(join(directory, "disk"), `made ${counted.times}`);
      if (fail) throw new Error("no network");
      const disk = await blobOf(join(directory, "disk"), signal);
      return {
        image: {
          name: "tiny",
          role: "base",
          architecture: "amd64",
          disk: { ...disk, format: "raw", virtualBytes: disk.sizeBytes },
          features: [],
          registeredAtMs: 0,
        },
        names: new Map([[disk.digest, "disk"]]),
      };
    },
  };
}

test("the same inputs are built once, also when many ask at the same moment", async () => {
  const counted = { times: 0 };
  const all = await Promise.all(
    [1, 2, 3].map(() => buildOnce(cache, build("a", counted), systemSubprocess(), signal)),
  );
  assert.equal(counted.times, 1);
  for (const built of all) assert.deepEqual(built, all[0]);
  const [file] = [...(all[0]?.files.values() ?? [])];
  assert.equal(await readFile(file ?? "", "utf8"), "made 1");
});

test("other inputs are another image", async () => {
  const counted = { times: 0 };
  await buildOnce(cache, build("a", counted), systemSubprocess(), signal);
  await buildOnce(cache, build("b", counted), systemSubprocess(), signal);
  assert.equal(counted.times, 2);
});

test("what a build that failed left behind is never taken for an image", async () => {
  const counted = { times: 0 };
  await assert.rejects(buildOnce(cache, build("a", counted, true), systemSubprocess(), signal), /no network/);
  const built = await buildOnce(cache, build("a", counted), systemSubprocess(), signal);
  assert.equal(counted.times, 2);
  assert.equal(await readFile([...built.files.values()][0] ?? "", "utf8"), "made 2");
  assert.deepEqual(
    (await readdir(cache)).filter((name) => name.includes("unfinished")),
    [],
  );
});
