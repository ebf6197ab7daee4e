import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { blobOf, buildOnce } from "#drivers/guest/built-guest.ts";
import { fetchPackages } from "#drivers/guest/debian-packages.ts";
import type { DebianPackage } from "#drivers/guest/debian-packages.ts";
import { entropyProgram } from "#drivers/guest/entropy-program.ts";
import { unpackedKernel } from "#drivers/guest/kernel-image.ts";
import { knownPackages } from "#drivers/guest/known-packages.ts";
import type { BuildProgress, BuiltGuest } from "#drivers/guest/port.ts";
import { guestScripts } from "#drivers/guest/scripts.ts";
import { kernelRelease } from "#drivers/guest/unpacked-kernel.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import * as contents from "./contents.ts";
import { tinyInitrd } from "./initrd.ts";

/** Raised when the way it is put together changes. */
const recipeVersion = 3;

/**
 * The tiny guest: Debian's cloud kernel and everything else in an initial RAM disk, from packages that are fetched and
 * unpacked but never installed. The same packages and scripts give the same bytes.
 * @param cache directory for packages and built guests; shared by all processes of a machine
 */
export async function buildTinyGuest(
  cache: string,
  onProgress: BuildProgress,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<BuiltGuest> {
  onProgress("looking up packages");
  const wish = { kernel: contents.tinyKernel, names: contents.tinyPackages };
  const packages = await knownPackages(cache, wish, subprocess, signal);
  const build = {
    kind: "tiny",
    inputs: await inputsDigest(packages),
    make: (directory: string) => make(cache, directory, packages, onProgress, subprocess, signal),
  };
  return buildOnce(cache, build, subprocess, signal);
}

async function inputsDigest(packages: readonly DebianPackage[]): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([recipeVersion, packages, contents]));
  hash.update(entropyProgram());
  for (const { path, content, mode } of await guestScripts("tiny"))
    hash.update(`${path} ${mode} ${content.length}\n`).update(content);
  return hash.digest("hex");
}

async function make(
  cache: string,
  directory: string,
  packages: readonly DebianPackage[],
  onProgress: BuildProgress,
  subprocess: Subprocess,
  signal: AbortSignal,
): ReturnType<Parameters<typeof buildOnce>[1]["make"]> {
  onProgress("downloading packages");
  const files = await fetchPackages(packages, join(cache, "packages"), subprocess, signal);
  onProgress("unpacking packages");
  const root = join(directory, "unpacked");
  await mkdir(root);
  for (const file of files) await subprocess.check("dpkg-deb", ["--extract", file, root], signal);
  onProgress("writing the initial RAM disk");
  const release = await kernelRelease(root);
  await writeFile(join(directory, "initrd"), await tinyInitrd(root, release, subprocess, signal));
  const packed = await readFile(join(root, `boot/vmlinuz-${release}`));
  await writeFile(join(directory, "kernel"), unpackedKernel(packed));
  await rm(root, { recursive: true });
  const kernelBlob = await blobOf(join(directory, "kernel"), signal);
  const initrdBlob = await blobOf(join(directory, "initrd"), signal);
  return {
    image: {
      name: "tiny",
      role: "base",
      architecture: "amd64",
      boot: {
        kind: "kernel",
        kernel: kernelBlob,
        initrd: initrdBlob,
        commandLine: contents.tinyCommandLine,
      },
      features: ["agent", "context"],
      registeredAtMs: 0,
    },
    names: new Map([
      [kernelBlob.digest, "kernel"],
      [initrdBlob.digest, "initrd"],
    ]),
  };
}
