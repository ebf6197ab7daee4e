import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { fileEntry, treeArchive } from "#drivers/guest/archive-tree.ts";
import type { FileEntry } from "#drivers/guest/archive-tree.ts";
import { entropyProgram } from "#drivers/guest/entropy-program.ts";
import { guestScripts } from "#drivers/guest/scripts.ts";
import { busyboxEntries, moduleEntries } from "#drivers/guest/unpacked-kernel.ts";
import type { Subprocess } from "#drivers/system/port.ts";
import {
  dynamicLinker,
  libraryDirectories,
  tinyDirectories,
  tinyFiles,
  tinyLibraries,
  tinyModules,
  tinyPrograms,
} from "./contents.ts";

/**
 * The tiny guest's file system. The same inputs give the same bytes.
 * @param root where the packages are unpacked
 */
export async function tinyInitrd(
  root: string,
  release: string,
  subprocess: Subprocess,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const files = [
    ...(await programs(root)),
    ...(await libraries(root)),
    ...(await moduleEntries(root, release, tinyModules)),
    ...(await scripts()),
    ...tinyFiles.map(([path, content, mode]) => fileEntry(path, Buffer.from(content), mode)),
  ];
  const taken = new Set(files.map(({ path }) => path));
  return treeArchive(
    [
      ...files,
      ...(await busyboxEntries(root, taken, subprocess, signal)),
      { path: "lib64", kind: "link", target: "lib/x86_64-linux-gnu" },
      { path: "dev/console", kind: "device", mode: 0o600, major: 5, minor: 1 },
    ],
    tinyDirectories,
  );
}

async function programs(root: string): Promise<FileEntry[]> {
  const found: FileEntry[] = [];
  for (const [from, to] of tinyPrograms) found.push(fileEntry(to, await readFile(join(root, from)), 0o755));
  return found;
}

async function libraries(root: string): Promise<FileEntry[]> {
  const found: FileEntry[] = [];
  for (const name of [...tinyLibraries, dynamicLinker]) {
    const mode = name === dynamicLinker ? 0o755 : 0o644;
    found.push(fileEntry(`lib/x86_64-linux-gnu/${name}`, await libraryContent(root, name), mode));
  }
  return found;
}

async function libraryContent(root: string, name: string): Promise<Uint8Array> {
  for (const directory of libraryDirectories) {
    try {
      return await readFile(join(root, directory, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  throw new ConsortError("driver_failed", `Cannot build the tiny guest: its packages have no ${name}`);
}

async function scripts(): Promise<FileEntry[]> {
  const ours = await guestScripts("tiny");
  return [
    fileEntry("usr/lib/consort/reseed", entropyProgram(), 0o755),
    ...ours.map(({ path, content, mode }) => fileEntry(path, content, mode)),
  ];
}
