import { dirname } from "node:path";
import { cpioArchive } from "./cpio.ts";
import type { ArchiveEntry } from "./cpio.ts";

export type FileEntry = Extract<ArchiveEntry, { kind: "file" }>;

export function fileEntry(path: string, content: Uint8Array, mode: number): FileEntry {
  return { path, kind: "file", mode, content };
}

/**
 * An initial RAM disk of these and the directories they are in.
 * @param directories more of them, with the modes of those that are not 0755
 */
export function treeArchive(
  leaves: readonly ArchiveEntry[],
  directories: readonly (readonly [path: string, mode?: number])[],
): Uint8Array {
  const modes = new Map(directories.map(([path, mode]) => [path, mode ?? 0o755]));
  const paths = directoriesOf([...leaves.map(({ path }) => dirname(path)), ...modes.keys()]);
  return cpioArchive([
    ...paths.map((path): ArchiveEntry => ({ path, kind: "directory", mode: modes.get(path) ?? 0o755 })),
    ...[...leaves].sort((a, b) => (a.path < b.path ? -1 : 1)),
  ]);
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
