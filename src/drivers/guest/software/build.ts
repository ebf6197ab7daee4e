import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readlink, rm } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { blobOf, buildOnce } from "#drivers/guest/built-guest.ts";
import type { GuestBuild } from "#drivers/guest/built-guest.ts";
import { fetchPackages } from "#drivers/guest/debian-packages.ts";
import type { DebianPackage } from "#drivers/guest/debian-packages.ts";
import { knownPackages } from "#drivers/guest/known-packages.ts";
import type { BuildProgress, BuiltGuest, SoftwareSpec } from "#drivers/guest/port.ts";
import type { Subprocess } from "#drivers/system/port.ts";

const recipeVersion = 2;
const packageName = /^[a-z0-9][a-z0-9+.-]+$/;

/**
 * A read-only disk of a directory's content and of unpacked Debian packages, to be mounted at /opt/<name>. Everything in
 * it belongs to root; device files and links lead nowhere outside the guest. The same inputs give the same bytes.
 */
export async function buildSoftware(
  cache: string,
  spec: SoftwareSpec,
  onProgress: BuildProgress,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<BuiltGuest> {
  checkSpec(spec);
  onProgress("looking at its content");
  const packages =
    spec.packages.length === 0
      ? []
      : await knownPackages(cache, { names: spec.packages }, subprocess, signal);
  const hash = createHash("sha256").update(JSON.stringify([recipeVersion, spec.name, packages]));
  if (spec.directory !== undefined) await addTree(hash, spec.directory, signal);
  const build: GuestBuild = {
    kind: "software",
    inputs: hash.digest("hex"),
    make: (directory) => make(cache, directory, spec, packages, onProgress, subprocess, signal),
  };
  return buildOnce(cache, build, subprocess, signal);
}

function checkSpec({ packages, directory }: SoftwareSpec): void {
  if (packages.length === 0 && directory === undefined)
    throw new ConsortError("bad_input", "Cannot build a software image: name packages or a directory");
  const wrong = packages.find((name) => !packageName.test(name));
  if (wrong !== undefined)
    throw new ConsortError(
      "bad_input",
      `Cannot build a software image: ${JSON.stringify(wrong)} is no package`,
    );
}

async function make(
  cache: string,
  directory: string,
  spec: SoftwareSpec,
  packages: readonly DebianPackage[],
  onProgress: BuildProgress,
  subprocess: Subprocess,
  signal: AbortSignal,
): ReturnType<GuestBuild["make"]> {
  const root = join(directory, "root");
  await mkdir(root);
  if (packages.length > 0) {
    onProgress("unpacking packages");
    for (const file of await fetchPackages(packages, join(cache, "packages"), subprocess, signal))
      await subprocess.check("dpkg-deb", ["--extract", file, root], signal);
  }
  if (spec.directory !== undefined) {
    onProgress("copying the directory");
    await subprocess.check("cp", ["--archive", "--no-target-directory", "--", spec.directory, root], signal);
  }
  onProgress("writing the disk");
  const disk = join(directory, "disk.squashfs");
  const always = ["-all-root", "-mkfs-time", "0", "-all-time", "0", "-no-xattrs", "-no-exports"];
  const quietly = ["-comp", "lz4", "-noappend", "-quiet", "-no-progress"];
  await subprocess.check("mksquashfs", [root, disk, ...always, ...quietly], signal);
  await rm(root, { recursive: true });
  const blob = await blobOf(disk, signal);
  return {
    image: {
      name: spec.name,
      role: "software",
      architecture: "amd64",
      disk: { ...blob, format: "raw", virtualBytes: blob.sizeBytes },
      features: [],
      registeredAtMs: 0,
    },
    names: new Map([[blob.digest, "disk.squashfs"]]),
  };
}

/** Names, modes and content of all that is in a directory, in one order. */
async function addTree(
  hash: ReturnType<typeof createHash>,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  for (const name of (await readdir(directory, { recursive: true })).sort()) {
    const path = join(directory, name);
    const found = await lstat(path);
    hash.update(JSON.stringify([name, found.mode, found.isFile() ? found.size : 0]));
    if (found.isSymbolicLink()) hash.update(await readlink(path));
    if (!found.isFile()) continue;
    for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  }
}
