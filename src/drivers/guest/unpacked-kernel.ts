import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import { fileEntry } from "./archive-tree.ts";
import type { FileEntry } from "./archive-tree.ts";
import type { ArchiveEntry } from "./cpio.ts";
import { moduleName, moduleNeeds, modulesDep, withNeeded } from "./kernel-modules.ts";
import type { KernelModule } from "./kernel-modules.ts";

/** "6.1.0-9-cloud-amd64": of the one kernel that was unpacked below `root`. @throws driver_failed */
export async function kernelRelease(root: string): Promise<string> {
  const [release] = await readdir(join(root, "lib/modules"));
  if (release === undefined)
    throw new ConsortError("driver_failed", "Cannot build a guest: the kernel's package has no modules");
  return release;
}

/** Modules and all they need, as files for modprobe. */
export async function moduleEntries(
  root: string,
  release: string,
  wanted: readonly string[],
): Promise<readonly FileEntry[]> {
  const directory = `lib/modules/${release}`;
  const modules = withNeeded(wanted, await modulesIn(join(root, directory)));
  const found = [
    fileEntry(`${directory}/modules.dep`, Buffer.from(modulesDep(modules)), 0o644),
    fileEntry(
      `${directory}/modules.alias`,
      Buffer.from("alias fs-iso9660 isofs\nalias fs-squashfs squashfs\n"),
      0o644,
    ),
  ];
  for (const { path } of modules)
    found.push(fileEntry(`${directory}/${path}`, await readFile(join(root, directory, path)), 0o644));
  return found;
}

async function modulesIn(directory: string): Promise<ReadonlyMap<string, KernelModule>> {
  const known = new Map<string, KernelModule>();
  for (const path of (await readdir(directory, { recursive: true })).sort()) {
    if (!path.endsWith(".ko")) continue;
    const name = moduleName(path);
    known.set(name, { name, path, needs: moduleNeeds(await readFile(join(directory, path))) });
  }
  return known;
}

/** Busybox and a name for each program it is, but for those somebody else is. */
export async function busyboxEntries(
  root: string,
  taken: ReadonlySet<string>,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<readonly ArchiveEntry[]> {
  const program = join(root, "bin/busybox");
  const applets = (await subprocess.check(program, ["--list"], signal)).trim().split("\n");
  const links = applets
    .filter((applet) => applet !== "busybox")
    .filter((applet) => !taken.has(`bin/${applet}`) && !taken.has(`sbin/${applet}`))
    .map((applet): ArchiveEntry => ({ path: `bin/${applet}`, kind: "link", target: "busybox" }));
  return [fileEntry("bin/busybox", await readFile(program), 0o755), ...links];
}
