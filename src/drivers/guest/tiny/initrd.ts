import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConsortError } from "#base/errors.ts";
import { cpioArchive } from "#drivers/guest/cpio.ts";
import type { ArchiveEntry } from "#drivers/guest/cpio.ts";
import { entropyProgram } from "#drivers/guest/entropy-program.ts";
import { modulesDep } from "#drivers/guest/kernel-modules.ts";
import type { KernelModule } from "#drivers/guest/kernel-modules.ts";
import { guestScripts } from "#drivers/guest/scripts.ts";
import {
  dynamicLinker,
  libraryDirectories,
  tinyDirectories,
  tinyFiles,
  tinyLibraries,
  tinyPrograms,
} from "./contents.ts";

export type InitrdInputs = {
  /** Where the packages are unpacked. */
  readonly root: string;
  /** "6.1.0-9-cloud-amd64". */
  readonly release: string;
  readonly modules: readonly KernelModule[];
  /** Names that busybox answers to. */
  readonly applets: readonly string[];
};

/** The tiny guest's file system. The same inputs give the same bytes. */
export async function tinyInitrd(inputs: InitrdInputs): Promise<Uint8Array> {
  const files = [
    ...(await programs(inputs.root)),
    ...(await libraries(inputs.root)),
    ...(await moduleFiles(inputs)),
    ...(await scripts()),
    ...tinyFiles.map(([path, content, mode]) => fileOf(path, Buffer.from(content), mode)),
  ];
  const taken = new Set(files.map(({ path }) => path));
  const links: ArchiveEntry[] = inputs.applets
    .map((applet) => `bin/${applet}`)
    .filter((path) => !taken.has(path) && !taken.has(path.replace("bin/", "sbin/")))
    .map((path) => ({ path, kind: "link", target: "busybox" }));
  const leaves: ArchiveEntry[] = [
    ...files,
    ...links,
    { path: `lib64`, kind: "link", target: "lib/x86_64-linux-gnu" },
    { path: "dev/console", kind: "device", mode: 0o600, major: 5, minor: 1 },
  ];
  const directories = directoriesOf([...leaves.map(({ path }) => dirname(path)), ...tinyDirectories]).map(
    (path): ArchiveEntry => ({ path, kind: "directory", mode: modeOfDirectory(path) }),
  );
  return cpioArchive([...directories, ...leaves.sort((a, b) => (a.path < b.path ? -1 : 1))]);
}

type FileEntry = Extract<ArchiveEntry, { kind: "file" }>;

function fileOf(path: string, content: Uint8Array, mode: number): FileEntry {
  return { path, kind: "file", mode, content };
}

async function programs(root: string): Promise<FileEntry[]> {
  const found: FileEntry[] = [];
  for (const [from, to] of tinyPrograms) found.push(fileOf(to, await readFile(join(root, from)), 0o755));
  return found;
}

async function libraries(root: string): Promise<FileEntry[]> {
  const found: FileEntry[] = [];
  for (const name of [...tinyLibraries, dynamicLinker]) {
    const mode = name === dynamicLinker ? 0o755 : 0o644;
    found.push(fileOf(`lib/x86_64-linux-gnu/${name}`, await libraryContent(root, name), mode));
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

async function moduleFiles({ root, release, modules }: InitrdInputs): Promise<FileEntry[]> {
  const directory = `lib/modules/${release}`;
  const found = [
    fileOf(`${directory}/modules.dep`, Buffer.from(modulesDep(modules)), 0o644),
    fileOf(
      `${directory}/modules.alias`,
      Buffer.from("alias fs-iso9660 isofs\nalias fs-squashfs squashfs\n"),
      0o644,
    ),
  ];
  for (const { path } of modules)
    found.push(fileOf(`${directory}/${path}`, await readFile(join(root, directory, path)), 0o644));
  return found;
}

async function scripts(): Promise<FileEntry[]> {
  const found = [fileOf("usr/lib/consort/reseed", entropyProgram(), 0o755)];
  for (const { path, content, mode } of await guestScripts("tiny")) found.push(fileOf(path, content, mode));
  return found;
}

/** All of them and what is above them, a directory before what is in it. */
function directoriesOf(paths: readonly string[]): readonly string[] {
  const all = new Set<string>();
  for (let path of paths)
    while (path !== "." && !all.has(path)) {
      all.add(path);
      path = dirname(path);
    }
  return [...all].sort();
}

function modeOfDirectory(path: string): number {
  if (path === "root" || path === "etc/dropbear") return 0o700;
  return path === "tmp" ? 0o1777 : 0o755;
}
