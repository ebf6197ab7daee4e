import { createHash } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Subprocess } from "#drivers/system/port.ts";
import { findPackages, kernelPackage } from "./debian-packages.ts";
import type { DebianPackage } from "./debian-packages.ts";

/** Whatever changes what apt would answer changes one of these. */
const aptState = ["/var/lib/apt/lists", "/etc/apt", "/etc/apt/sources.list.d", "/etc/apt/preferences.d"];

export type PackageWish = { readonly kernel?: string; readonly names: readonly string[] };

/**
 * What apt would download for a kernel's metapackage and for names, in that order. Apt takes a second to say so, so its
 * answer is kept until its lists change. @throws driver_failed
 */
export async function knownPackages(
  cache: string,
  { kernel, names }: PackageWish,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<readonly DebianPackage[]> {
  const stamps = await Promise.all(aptState.map(stampOf));
  const key = createHash("sha256")
    .update(JSON.stringify([kernel ?? "", names, stamps]))
    .digest("hex");
  const file = join(cache, "lookups", `${key.slice(0, 32)}.json`);
  const kept = await readKept(file);
  if (kept !== undefined) return kept;
  const image = kernel === undefined ? [] : [await kernelPackage(kernel, subprocess, signal)];
  const found = await findPackages([...image, ...names], subprocess, signal);
  await mkdir(join(cache, "lookups"), { recursive: true });
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, JSON.stringify(found));
  await rename(fresh, file);
  return found;
}

async function stampOf(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  );
}

/** What cannot be read is asked for again. */
async function readKept(file: string): Promise<readonly DebianPackage[] | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as readonly DebianPackage[];
  } catch {
    return undefined;
  }
}
