import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemGuestBuilder } from "#drivers/guest/builder.ts";
import type { BuiltGuest } from "#drivers/guest/port.ts";
import { buildTinyGuest } from "#drivers/guest/tiny/build.ts";
import { guestCache, subprocess } from "./guest-machine.ts";

const signal = AbortSignal.timeout(300_000);
let root = "";
before(async () => {
  root = await mkdtemp(join(tmpdir(), "consort-test-builds-"));
});
after(() => rm(root, { recursive: true, force: true }));

/** A cache that has nothing built yet, but the packages of the others. */
async function emptyCache(name: string): Promise<string> {
  const cache = join(root, name);
  await mkdir(cache);
  await symlink(join(guestCache, "packages"), join(cache, "packages"));
  return cache;
}

const digests = (built: BuiltGuest): string[] => [...built.files.keys()];

test("the tiny guest is the same to the byte, wherever and whenever it is built", async () => {
  const one = await buildTinyGuest(guestCache, () => {}, subprocess, signal);
  const other = await buildTinyGuest(await emptyCache("tiny"), () => {}, subprocess, signal);
  assert.deepEqual(digests(other), digests(one));
  assert.deepEqual(other.image, one.image);
});

test("the kernel of a guest is handed over unpacked, as an emulated processor takes long for that", async () => {
  const { image, files } = await buildTinyGuest(guestCache, () => {}, subprocess, signal);
  const kernel = image.boot?.kind === "kernel" ? image.boot.kernel.digest : undefined;
  const content = await readFile(kernel === undefined ? "" : (files.get(kernel) ?? ""));
  assert.equal(content.toString("latin1", 1, 4), "ELF");
});

test("software is the same for the same content, and another one for another", async () => {
  const build = async (cache: string, directory: string): Promise<BuiltGuest> =>
    systemGuestBuilder(await emptyCache(cache), subprocess).software(
      { name: "tools", packages: [], directory },
      () => {},
      signal,
    );
  const tree = async (name: string, text: string, whenS: number): Promise<string> => {
    const directory = join(root, name);
    await mkdir(join(directory, "bin"), { recursive: true });
    await writeFile(join(directory, "bin/hello"), text, { mode: 0o755 });
    await utimes(join(directory, "bin/hello"), whenS, whenS);
    return directory;
  };
  const first = await build("a", await tree("first", "#!/bin/sh\necho hello\n", 1000));
  const same = await build("b", await tree("same", "#!/bin/sh\necho hello\n", 2000));
  const changed = await build("c", await tree("changed", "#!/bin/sh\necho HELLO\n", 1000));
  assert.deepEqual(digests(same), digests(first));
  assert.notDeepEqual(digests(changed), digests(first));
});

test("packages are unpacked into a software image that any guest can mount", async () => {
  const built = await systemGuestBuilder(guestCache, subprocess).software(
    { name: "busybox", packages: ["busybox-static"] },
    () => {},
    signal,
  );
  const [disk] = [...built.files.values()];
  const listed = await subprocess.check("unsquashfs", ["-lls", disk ?? ""], signal);
  assert.match(listed, /^-rwxr-xr-x root\/root .* squashfs-root\/(?:usr\/)?bin\/busybox$/m);
  assert.equal((await readFile(disk ?? "")).subarray(0, 4).toString("latin1"), "hsqs");
});
