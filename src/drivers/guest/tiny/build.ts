import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { blobOf, buildOnce } from "#drivers/guest/built-guest.ts";
import type { BuildProgress, BuiltGuest } from "#drivers/guest/built-guest.ts";
import { fetchPackages, findPackages, kernelPackage } from "#drivers/guest/debian-packages.ts";
import type { DebianPackage } from "#drivers/guest/debian-packages.ts";
import { entropyProgram } from "#drivers/guest/entropy-program.ts";
import { moduleName, moduleNeeds, withNeeded } from "#drivers/guest/kernel-modules.ts";
import type { KernelModule } from "#drivers/guest/kernel-modules.ts";
import { guestScripts } from "#drivers/guest/scripts.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import * as contents from "./contents.ts";
import { tinyInitrd } from "./initrd.ts";

/** Raised when the way it is put together changes. */
const recipeVersion = 1;

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
  const kernel = await kernelPackage(contents.tinyKernel, subprocess, signal);
  const packages = await findPackages([kernel, ...contents.tinyPackages], subprocess, signal);
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
  const release = await releaseIn(root);
  const applets = await subprocess.check(join(root, "bin/busybox"), ["--list"], signal);
  const initrd = await tinyInitrd({
    root,
    release,
    modules: await modulesIn(root, release),
    applets: applets.trim().split("\n"),
  });
  await writeFile(join(directory, "initrd"), initrd);
  await copyFile(join(root, `boot/vmlinuz-${release}`), join(directory, "kernel"));
  await rm(root, { recursive: true });
  const kernelBlob = await blobOf(join(directory, "kernel"), signal);
  const initrdBlob = await blobOf(join(directory, "initrd"), signal);
  return {
    image: {
      name: "tiny",
      role: "base",
      architecture: "x86_64",
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

async function releaseIn(root: string): Promise<string> {
  const [release] = await readdir(join(root, "lib/modules"));
  if (release === undefined)
    throw new ConsortError(
      "driver_failed",
      "Cannot build the tiny guest: the kernel's package has no modules",
    );
  return release;
}

async function modulesIn(root: string, release: string): Promise<readonly KernelModule[]> {
  const directory = join(root, "lib/modules", release);
  const known = new Map<string, KernelModule>();
  for (const path of (await readdir(directory, { recursive: true })).sort()) {
    if (!path.endsWith(".ko")) continue;
    const name = moduleName(path);
    known.set(name, { name, path, needs: moduleNeeds(await readFile(join(directory, path))) });
  }
  return withNeeded(contents.tinyModules, known);
}
