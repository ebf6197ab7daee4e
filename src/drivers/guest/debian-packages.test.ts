import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Subprocess } from "#drivers/system/port.ts";
import { fetchPackages, findPackages, kernelPackage, parseUris } from "./debian-packages.ts";

const { signal } = new AbortController();
const sha = createHash("sha256").update("content").digest("hex");
const line = `'http://deb.debian.org/b/busybox-static_1.35%2bdeb12_amd64.deb' busybox-static_1%3a1.35+deb12_amd64.deb 928188 SHA256:${sha}`;

function programs(check: Subprocess["check"]): Subprocess {
  return { check, run: () => Promise.reject(new Error("not called")) };
}

test("apt's list of addresses is read, and what is no line of it is passed over", () => {
  const [found] = parseUris(`W: a warning\n${line}\n`);
  assert.deepEqual(found, {
    name: "busybox-static",
    file: "busybox-static_1%3a1.35+deb12_amd64.deb",
    sha256: sha,
  });
  assert.deepEqual(parseUris("'http://x' ../../etc/x 1 MD5:0\n"), []);
});

test("a package that apt does not know is told by its name", async () => {
  await assert.rejects(
    findPackages(
      ["busybox-static", "none-such"],
      programs(() => Promise.resolve(line)),
      signal,
    ),
    /apt knows no none-such/,
  );
});

test("the kernel behind a metapackage is found", async () => {
  const output = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-9-cloud-amd64\n";
  const name = await kernelPackage(
    "linux-image-cloud-amd64",
    programs(() => Promise.resolve(output)),
    signal,
  );
  assert.equal(name, "linux-image-6.1.0-9-cloud-amd64");
});

test("what was fetched once is not fetched again, and what is not as told is refused", async () => {
  const directory = await mkdtemp(join(tmpdir(), "consort-test-debs-"));
  try {
    const [wanted] = parseUris(line);
    assert.ok(wanted !== undefined);
    let downloads = 0;
    const download =
      (content: string): Subprocess["check"] =>
      async (_file, _args, _signal, options) => {
        downloads += 1;
        await writeFile(join(options?.cwd ?? "", wanted.file), content);
        return "";
      };
    await assert.rejects(
      fetchPackages([wanted], directory, programs(download("something else")), signal),
      /is not what apt told of/,
    );
    const once = await fetchPackages([wanted], directory, programs(download("content")), signal);
    const again = await fetchPackages([wanted], directory, programs(download("content")), signal);
    assert.deepEqual(once, [join(directory, `${sha}.deb`)]);
    assert.deepEqual(again, once);
    assert.equal(downloads, 2);
    assert.deepEqual(await readdir(directory), [`${sha}.deb`]);
  } finally {
    await rm(directory, { recursive: true });
  }
});
