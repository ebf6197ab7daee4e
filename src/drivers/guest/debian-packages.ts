import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { ConsortError } from "#base/errors.ts";
import type { Subprocess } from "#drivers/system/port.ts";

/** One package as Debian's archive has it now: same digest, same content. */
export type DebianPackage = {
  readonly name: string;
  /** In apt's form, with its version. */
  readonly file: string;
  /** 64 hexadecimal digits. */
  readonly sha256: string;
};

/** What apt would download for these names; nothing is downloaded or installed. @throws driver_failed */
export async function findPackages(
  names: readonly string[],
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<readonly DebianPackage[]> {
  const output = await subprocess.check("apt-get", ["download", "--print-uris", "-qq", ...names], signal);
  const found = parseUris(output);
  const missing = names.filter((name) => !found.some((each) => each.name === name));
  if (missing.length > 0)
    throw new ConsortError(
      "driver_failed",
      `Cannot find Debian packages: apt knows no ${missing.join(", ")}; run apt-get update`,
    );
  return found;
}

/** Lines such as: 'http://…/busybox.deb' busybox-static_1%3a1.35_amd64.deb 928188 SHA256:3d3f… */
export function parseUris(output: string): readonly DebianPackage[] {
  return output.split("\n").flatMap((line) => {
    const [, file, sha256] = /^'[^']+' (\S+\.deb) \d+ SHA256:([0-9a-f]{64})$/.exec(line) ?? [];
    const name = file?.split("_", 1)[0];
    return file === undefined || sha256 === undefined || name === undefined ? [] : [{ name, file, sha256 }];
  });
}

/** The kernel image that a metapackage stands for. @throws driver_failed */
export async function kernelPackage(
  metapackage: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<string> {
  const output = await subprocess.check("apt-cache", ["depends", "--important", metapackage], signal);
  const name = /^ {2}Depends: (linux-image-\S+)$/m.exec(output)?.[1];
  if (name === undefined)
    throw new ConsortError("driver_failed", `Cannot find a kernel: ${metapackage} depends on none`);
  return name;
}

/** Into `directory`, unless it is there already; resolves with the files' paths. @throws driver_failed */
export async function fetchPackages(
  packages: readonly DebianPackage[],
  directory: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<readonly string[]> {
  await mkdir(directory, { recursive: true });
  const kept = packages.map((each) => ({ ...each, path: join(directory, `${each.sha256}.deb`) }));
  const wanted: typeof kept = [];
  for (const each of kept) if ((await sha256Of(each.path, signal)) !== each.sha256) wanted.push(each);
  if (wanted.length > 0) await download(wanted, directory, subprocess, signal);
  return kept.map(({ path }) => path);
}

/** Beside what is kept, as others may fetch the same at this moment. */
async function download(
  wanted: readonly (DebianPackage & { readonly path: string })[],
  directory: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<void> {
  const cwd = await mkdtemp(join(directory, "fetch-"));
  try {
    await subprocess.check("apt-get", ["download", "-qq", ...wanted.map(({ name }) => name)], signal, {
      cwd,
    });
    for (const { file, path, sha256, name } of wanted) {
      const downloaded = join(cwd, file);
      if ((await sha256Of(downloaded, signal)) !== sha256)
        throw new ConsortError("driver_failed", `Cannot use ${name}: ${file} is not what apt told of`);
      await rename(downloaded, path);
    }
  } finally {
    await rm(cwd, { recursive: true, force: true });
  }
}

/** Undefined when there is no such file. */
async function sha256Of(path: string, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash, { signal });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return hash.digest("hex");
}
